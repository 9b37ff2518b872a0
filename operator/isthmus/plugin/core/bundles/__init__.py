"""Bundles: the two files by which administrators of two clouds agree, and the code that protects them.

The construction and its security argument are in docs/bundles.md.
"""
