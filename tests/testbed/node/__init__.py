"""A gateway node: how it is hosted, command execution, and the daemons on it."""
