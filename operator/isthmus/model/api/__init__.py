"""The Kubernetes API: custom resources and their definitions."""
