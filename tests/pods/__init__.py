"""Tests of Isthmus in pods: cloud A runs the chart on two kubelets, cloud B runs natively."""
