"""Wanted and observed state of a gateway node."""
