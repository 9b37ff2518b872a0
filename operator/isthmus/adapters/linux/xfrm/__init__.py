"""Policies and states of this node's kernel (XFRM, the kernel's side of IPsec)."""

from .adapter import NetlinkXfrm
from .policies import BLOCK_PRIORITY

__all__ = ["BLOCK_PRIORITY", "NetlinkXfrm"]
