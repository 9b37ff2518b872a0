"""Initial setup of a new Keystone: services, endpoints, users, and the administrator's password."""

import time
from typing import Any

from openstack.connection import Connection

from tests.testbed.cloud.servers.keystone import BOOTSTRAP_PASSWORD
from tests.testbed.topology import Site

OPERATOR = "isthmus"


def connect(
    site: Site, username: str, password: str, project: str, *, user_domain: str = "Default", **extra: Any
) -> Connection:
    """A session of a user in a project of the Default domain."""
    return Connection(
        auth={
            "auth_url": site.auth_url,
            "username": username,
            "password": password,
            "project_name": project,
            "user_domain_name": user_domain,
            "project_domain_name": user_domain,
        },
        region_name=site.region,
        app_name="isthmus-lab",
        app_version="1",
        **extra,
    )


def register(site: Site, *, admin_password: str, neutron_password: str, operator_password: str) -> None:
    """Register Neutron, and create the operator's user, in a bootstrapped Keystone."""
    connection = connect(site, "admin", BOOTSTRAP_PASSWORD, "admin")
    identity: Any = connection.identity
    roles = {role.name: role for role in identity.roles()}
    service_role = roles.get("service") or identity.create_role(name="service")
    _user(connection, "service", "neutron", neutron_password, [roles["admin"], service_role])
    _user(connection, OPERATOR, OPERATOR, operator_password, [roles["admin"]])
    neutron = identity.create_service(name="neutron", type="network")
    for interface in ("public", "internal", "admin"):
        identity.create_endpoint(
            service_id=neutron.id, interface=interface, url=site.network_url, region_id=site.region
        )
    # Last: it revokes the user's tokens of the same second, including those issued afterwards.
    identity.update_user(connection.current_user_id, password=admin_password)
    time.sleep(1.0)


def _user(connection: Connection, project_name: str, name: str, password: str, roles: list[Any]) -> None:
    identity: Any = connection.identity
    project = identity.create_project(name=project_name, domain_id="default")
    user = identity.create_user(name=name, password=password, domain_id="default", default_project_id=project.id)
    for role in roles:
        identity.assign_project_role_to_user(project, user, role)
