"""Isthmus installed in both clouds, as docs/install.md describes it."""
