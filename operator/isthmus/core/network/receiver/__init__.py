"""The receiver's side of a stretched network: a peer's offer, and its replica in this cloud."""
