"""Every method of every port is classified as a query or an effect, so that metrics and kill tests miss none."""

from __future__ import annotations

import inspect

from isthmus import ports

# A new method belongs in one of the two; its name determines which.
QUERIES = {
    "Cluster": {"list_objects", "get", "list_manifests", "get_manifest"},
    "Leases": {"get_lease", "list_leases"},
    "PeerReader": {"start", "stop", "follow", "views"},
    "Watch": {"start", "stop"},
    "IntentSource": {"start", "stop", "latest"},
    "ReportSink": {"start", "stop", "publish"},
    "ObjectWatch": {"start", "stop"},
    "Observer": {"listed", "changed", "removed", "failed"},
    "NetworkCloud": {
        "check",
        "own_project_id",
        "get_network",
        "get_networks",
        "networks_of",
        "subnets_of",
        "subnets_in_project",
        "networks_shared_by_policy",
        "network_summaries",
        "security_groups_of",
        "port_groups_of",
        "get_quotas",
        "unseen_services",
        "ports_of",
        "find_domain",
        "get_project",
        "projects_of",
        "get_quota",
        "project_is_empty",
    },
    "Ovsdb": {"view"},
    "OpenFlow": {"instance", "mounted_directory_is_deleted", "changed", "view", "flows_of"},
    "Xfrm": {"blocks", "associations", "protect_policies"},
    "Firewall": {"view"},
    "Ike": {"view", "certificates", "revocation_lists", "authorities"},
    "Netlink": {"view"},
    "KernelMonitor": {"start", "stop"},
    "TunnelDevices": {"indexes", "has_esp_offload", "taking_large_packets"},
    "DataplaneProbe": {"exchange"},
    "GatewayPing": {"answering"},
    "Clock": {"now", "monotonic_seconds"},
}
EFFECTS = {
    "Cluster": {
        "apply",
        "apply_status",
        "set_conditions",
        "set_finalizers",
        "delete",
        "apply_manifest",
        "delete_manifest",
        "event",
    },
    "Leases": {"update_lease"},
    "InnerNetwork": {"ensure_ends", "remove_ends_except"},
    "NetworkCloud": {
        "create_network",
        "set_network_mtu",
        "tag_network",
        "delete_network",
        "create_subnet",
        "update_subnet",
        "delete_subnet",
        "create_attachment_port",
        "update_attachment_port",
        "create_gateway_port",
        "create_remote_ports",
        "set_remote_port_groups",
        "set_empty_qos_policy",
        "create_security_group",
        "update_security_group",
        "delete_port",
        "create_domain",
        "delete_domain",
        "create_project",
        "delete_project",
        "set_quota",
    },
    "Ovsdb": {"ensure_bridge", "apply", "set_numbers", "remove_bridge"},
    "OpenFlow": {"replace"},
    "Xfrm": {"add_blocks", "remove_blocks", "remove_associations"},
    "Firewall": {"replace_table", "remove_table"},
    "TunnelDevices": {"set_segmentation_before"},
    "Ike": {
        "load",
        "unload",
        "initiate",
        "take_over",
        "initiate_in_newest",
        "load_apart",
        "load_revocation_list",
        "remove_credentials",
        "retire",
        "rekey",
        "terminate",
    },
}


def _methods() -> set[tuple[str, str]]:
    protocols = [
        found
        for found in vars(ports).values()
        if inspect.isclass(found) and found.__module__.startswith(f"{ports.__name__}.")
    ]
    return {
        (port.__name__, name)
        for port in protocols
        for name, method in vars(port).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }


def test_every_method_is_either_a_query_or_an_effect() -> None:
    queries = {(port, method) for port, methods in QUERIES.items() for method in methods}
    effects = {(port, method) for port, methods in EFFECTS.items() for method in methods}
    found = _methods()
    assert found == queries | effects
    assert {(port, method) for port, method in found if ports.is_effect(method)} == effects
