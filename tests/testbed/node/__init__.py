"""A gateway node: how it exists, its commands, what runs on it."""
