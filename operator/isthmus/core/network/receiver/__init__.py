"""A network of a peer: the offer, the replica here."""
