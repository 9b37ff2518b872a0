"""The only module in which the controller changes an external system."""

from __future__ import annotations

import logging

from isthmus.model.actions import (
    Action,
    ApplyManifest,
    ApplyObject,
    CreateAttachmentPort,
    CreateDomain,
    CreateGatewayPort,
    CreateNetwork,
    CreateProject,
    CreateRemotePorts,
    CreateSecurityGroup,
    CreateSubnet,
    DeleteDomain,
    DeleteNamespace,
    DeleteNetwork,
    DeleteObject,
    DeletePort,
    DeleteProject,
    DeleteSubnet,
    ExemptAttachmentPort,
    KubernetesAction,
    OpenStackAction,
    RecordEvent,
    RestoreAttachmentPort,
    SetConditions,
    SetFinalizers,
    SetNetworkMTU,
    SetQuota,
    SetRemotePortGroups,
    TagNetwork,
    UpdatePools,
    UpdateSecurityGroup,
    UpdateSubnet,
    WriteStatus,
)
from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import Conflict, Invalid, NotFound
from isthmus.model.facts.openstack import Created, Subnet
from isthmus.ports import Cluster, NetworkCloud

from .backends import Backends

_LOG = logging.getLogger(__name__)


def perform(action: Action, backends: Backends) -> CustomObject | Created | None:
    """Execute one action. Raises ExternalError.

    Returns the object as the API server stored it for ApplyObject and WriteStatus, what was created in Neutron, else
    None. WriteStatus returns None if the object no longer exists.
    """
    if isinstance(action, KubernetesAction):
        return _perform_in_kubernetes(action, backends.cluster)
    return _perform_in_openstack(action, backends.cloud)


def _perform_in_kubernetes(action: KubernetesAction, cluster: Cluster) -> CustomObject | None:
    match action:
        case ApplyObject(obj):
            return cluster.apply(obj)
        case WriteStatus(obj):
            return _write_status(obj, cluster)
        case SetConditions():
            _set_conditions(action, cluster)
        case SetFinalizers(obj, finalizers):
            cluster.set_finalizers(obj, finalizers)
        case DeleteObject(obj):
            cluster.delete(type(obj), obj.metadata.name, obj.metadata.namespace, obj.metadata.uid)
        case ApplyManifest(manifest):
            cluster.apply_manifest(dict(manifest))
        case DeleteNamespace(name, uid):
            cluster.delete_manifest("v1", "Namespace", name, uid=uid)
        case RecordEvent(obj, type_, reason, message):
            cluster.event(obj, type_, reason, message)
    return None


def _write_status(obj: CustomObject, cluster: Cluster) -> CustomObject | None:
    try:
        return cluster.apply_status(obj)
    except NotFound:  # deleted in the meantime: there is no status to write
        return None


def _set_conditions(action: SetConditions, cluster: Cluster) -> None:
    place = action.kind, action.name, action.namespace or None
    try:
        cluster.set_conditions(*place, action.conditions, action.resource_version)
    except (Invalid, NotFound, Conflict) as error:  # refused with the rest of the object, or it has changed
        _LOG.debug("conditions of %s %s not written: %s", action.kind.registration.kind, action.name, error)


def _perform_in_openstack(action: OpenStackAction, cloud: NetworkCloud) -> Created | None:
    match action:
        case CreateDomain(name, description):
            cloud.create_domain(name, description)
        case CreateProject(domain_id, name, description):
            cloud.create_project(domain_id, name, description)
        case SetQuota(project_id, quota):
            cloud.set_quota(project_id, quota)
        case CreateNetwork(project_id, name, mtu, description):
            return cloud.create_network(project_id, name, mtu, description)
        case SetNetworkMTU(network_id, mtu, revision):
            cloud.set_network_mtu(network_id, mtu, revision)
        case TagNetwork(network_id, tag):
            cloud.tag_network(network_id, tag)
        case CreateSubnet():
            return _create_subnet(action, cloud)
        case UpdateSubnet(id_, gateway_ip, pools, enable_dhcp, dns_nameservers, host_routes, revision):
            cloud.update_subnet(
                id_,
                gateway_ip=gateway_ip or "",
                pools=pools,
                enable_dhcp=enable_dhcp,
                dns_nameservers=dns_nameservers,
                host_routes=host_routes,
                revision=revision,
            )
        case UpdatePools(subnet_id, pools, replaced_pools, revision, _):
            cloud.update_subnet(subnet_id, pools=pools, replaced_pools=replaced_pools, revision=revision)
        case CreateAttachmentPort(network_id, host, name, description):
            return cloud.create_attachment_port(network_id, host, name, description)
        case RestoreAttachmentPort(port_id, description):
            cloud.update_attachment_port(port_id, description)
        case ExemptAttachmentPort(port_id):
            cloud.set_empty_qos_policy(port_id)
        case CreateGatewayPort(network_id, subnet_id, address, name, description):
            return cloud.create_gateway_port(network_id, subnet_id, address, name, description)
        case CreateRemotePorts(network_id, ports, description):
            cloud.create_remote_ports(network_id, ports, description)
        case SetRemotePortGroups(port_id, groups):
            cloud.set_remote_port_groups(port_id, groups)
        case CreateSecurityGroup(project_id, name, description, stateful):
            cloud.create_security_group(project_id, name, description, stateful=stateful)
        case UpdateSecurityGroup(group_id, description, removed_rules, added_rules):
            cloud.update_security_group(group_id, description, removed_rules, added_rules)
        case DeleteDomain() | DeleteProject() | DeleteNetwork() | DeleteSubnet() | DeletePort():
            _delete(action, cloud)
    return None


def _create_subnet(action: CreateSubnet, cloud: NetworkCloud) -> Subnet:
    return cloud.create_subnet(
        action.network_id,
        action.project_id,
        action.name,
        action.cidr,
        action.gateway_ip,
        action.pools,
        action.enable_dhcp,
        action.dns_nameservers,
        action.host_routes,
        action.description,
        action.address_mode,
    )


def _delete(
    action: DeleteDomain | DeleteProject | DeleteNetwork | DeleteSubnet | DeletePort, cloud: NetworkCloud
) -> None:
    delete = {
        DeleteDomain: cloud.delete_domain,
        DeleteProject: cloud.delete_project,
        DeleteNetwork: cloud.delete_network,
        DeleteSubnet: cloud.delete_subnet,
        DeletePort: cloud.delete_port,
    }[type(action)]
    try:
        delete(action.id)
    except NotFound:  # already deleted
        return
