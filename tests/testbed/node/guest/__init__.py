"""What runs inside a gateway node; these files are read there and never imported by the tests."""
