"""Inventory of Neutron and Keystone."""

from collections.abc import Iterable
from typing import Any, Final, cast

from openstack.connection import Connection

from tests.testbed.cloud.servers.registration import OPERATOR

# Neutron counts and dates writes to an object, including its own (a port's status, a network's new port).
_COUNTS_OF_WRITES: Final = ("revision_number", "updated_at")
# Not part of the object: its location in the client, and the password expiry of Keystone's policy.
_NOT_ITS_OWN: Final = ("location", "links", "password_expires_at")


def sections(admin: Connection) -> dict[str, dict[str, Any]]:
    """Networks with their resources; domains, projects, users and role assignments."""
    network, identity = admin.network, cast(Any, admin.identity)
    neutron: dict[str, Iterable[Any]] = {
        "network": network.networks(),
        "subnet": network.subnets(),
        "port": network.ports(),
        "router": network.routers(),
        "security group": network.security_groups(),
        "security group rule": network.security_group_rules(),
        "address group": network.address_groups(),
        "floating IP": network.ips(),
        "RBAC policy": network.rbac_policies(),
        "QoS policy": _other_qos_policies(admin),
    }
    keystone: dict[str, Iterable[Any]] = {
        "domain": identity.domains(),
        "project": identity.projects(),
        "user": identity.users(),
        "role": identity.roles(),
    }
    return {
        **{f"neutron {kind}": _by_id(found) for kind, found in neutron.items()},
        "neutron quota": {quota.project_id: _plain(quota) for quota in network.quotas()},
        **{f"keystone {kind}": _by_id(found) for kind, found in keystone.items()},
        "keystone role assignment": {str(_plain(assignment)): True for assignment in identity.role_assignments()},
    }


def _other_qos_policies(admin: Connection) -> list[Any]:
    """All but the one that Isthmus keeps for good: in the operator's project, without rules and for nobody else."""
    projects = {project.id for project in cast(Any, admin.identity).projects(name=OPERATOR)}
    kept = {"name": OPERATOR, "rules": [], "is_shared": False, "is_default": False}
    return [
        policy
        for policy in admin.network.qos_policies()
        if policy.project_id not in projects or any(getattr(policy, key) != value for key, value in kept.items())
    ]


def _by_id(found: Iterable[Any]) -> dict[str, Any]:
    return {f"{item.name or ''} {item.id}".strip(): _plain(item) for item in found}


def _plain(resource: Any) -> dict[str, Any]:
    values = resource.to_dict(computed=False)
    kept = {key: value for key, value in values.items() if key not in _COUNTS_OF_WRITES and key not in _NOT_ITS_OWN}
    # A security group includes its rules with their counters; they have a section of their own.
    kept.pop("security_group_rules", None)
    return kept
