"""Kubernetes nodes that run pods: a kubelet on the host's kernel, and one on a gateway node."""
