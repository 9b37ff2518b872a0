"""Keystone and Neutron of our own cloud, through openstacksdk."""

from .cloud import OpenStackCloud

__all__ = ["OpenStackCloud"]
