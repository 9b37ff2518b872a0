"""A network of this cloud that is stretched to peers."""
