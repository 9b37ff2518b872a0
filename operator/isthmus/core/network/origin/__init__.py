"""The origin's side of a stretched network: a network of this cloud."""
