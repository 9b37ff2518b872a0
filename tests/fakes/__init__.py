"""In-memory implementations of the ports; the contract tests in tests/contract run against them, too."""
