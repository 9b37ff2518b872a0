"""Metadata of machines: a stub of Nova's API, and Neutron's agents, for the tests that need them."""
