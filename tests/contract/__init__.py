"""What a port promises, as test classes: held against the fakes in tests/unit, against the real things elsewhere."""
