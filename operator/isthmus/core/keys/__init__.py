"""Keys: the units of reconciliation, and which of them a change concerns."""
