"""Gateway nodes: which there are, what they can carry, which one carries a network."""
