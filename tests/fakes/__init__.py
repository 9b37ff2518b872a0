"""In-memory worlds that keep the same contracts as the real ones (tests/contract holds them to it)."""
