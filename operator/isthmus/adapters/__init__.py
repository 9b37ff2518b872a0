"""Implementations of the ports, one module or package for each external system; they never import each other."""
