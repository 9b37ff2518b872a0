"""Gateway nodes: which exist, the MTU that they can carry, which one carries a network."""
