"""Keystone and Neutron of this cloud, through openstacksdk."""

from .cloud import OpenStackCloud

__all__ = ["OpenStackCloud"]
