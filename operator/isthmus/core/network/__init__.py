"""One stretched network: its address slices, its link to each peer, its attachment to a gateway node."""
