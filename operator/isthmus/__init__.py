"""Isthmus: stretch a tenant's layer-2 network into other, independently owned OpenStack clouds."""
