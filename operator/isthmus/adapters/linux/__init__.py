"""The node's own kernel."""
