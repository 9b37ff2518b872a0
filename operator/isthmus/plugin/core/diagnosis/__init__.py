"""`kubectl isthmus diagnose`: which layer between two clouds fails, whose it is, and what to do."""

from .answer import diagnose
from .targets import UnknownTarget

__all__ = ["UnknownTarget", "diagnose"]
