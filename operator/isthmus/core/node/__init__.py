"""Planning for one gateway node: ports, IPsec, flows, status. Knows nothing of how networks are planned."""
