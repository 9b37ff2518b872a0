"""Custom resources of isthmus.cloud/v1alpha1."""
