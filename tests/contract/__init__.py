"""Contracts of the ports as test classes: run against the fakes in tests/unit, and against real systems elsewhere."""
