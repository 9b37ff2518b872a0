"""Isthmus installed in both clouds as administrators do it."""
