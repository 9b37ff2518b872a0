"""The lab's namespaces, bridges and links, without the gateway nodes."""

from tests.testbed.host import netns
from tests.testbed.node.hosting import MANAGEMENT_BRIDGE, WAN_BRIDGE
from tests.testbed.topology import SITES, WAN_MTU, Location, Namespaces


def build(namespaces: Namespaces) -> None:
    """Create namespaces, bridges and links."""
    for name in (namespaces.wan, namespaces.tester):
        netns.create(name)
    netns.run(namespaces.wan, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for site in SITES.values():
        add(namespaces, site)


def add(namespaces: Namespaces, site: Location) -> None:
    """Make a cloud's namespace with its links to the router and to the tester."""
    netns.create(namespaces.cloud(site.name))
    _build_management(namespaces, site)
    _build_wan(namespaces, site)


def _build_management(namespaces: Namespaces, site: Location) -> None:
    card = f"{MANAGEMENT_BRIDGE}-{site.name}"
    netns.batch(
        f"link add {MANAGEMENT_BRIDGE} type bridge\n"
        f"address add {site.server_address} dev {MANAGEMENT_BRIDGE}\n"
        f"link set {MANAGEMENT_BRIDGE} up\n"
        f"link add tester type veth peer name {card} netns {namespaces.tester}\n"
        f"link set tester master {MANAGEMENT_BRIDGE} up",
        namespaces.cloud(site.name),
    )
    netns.batch(f"address add {site.tester_address} dev {card}\nlink set {card} up", namespaces.tester)


def _build_wan(namespaces: Namespaces, site: Location) -> None:
    card = router_card(site)
    # The router first: a cloud's default route needs its link to be up.
    netns.batch(
        f"link add {WAN_BRIDGE} mtu {WAN_MTU} type bridge\n"
        f"address add {site.server_wan_address} dev {WAN_BRIDGE}\n"
        f"link add router mtu {WAN_MTU} type veth peer name {card} mtu {WAN_MTU} netns {namespaces.wan}\n"
        f"link set router master {WAN_BRIDGE} up\n"
        f"link set {WAN_BRIDGE} up\n"
        f"route add default via {site.router_address.ip}",
        namespaces.cloud(site.name),
    )
    netns.batch(f"address add {site.router_address} dev {card}\nlink set {card} up", namespaces.wan)


def remove(namespaces: Namespaces, site: Location) -> None:
    """Undo `add`, and end what runs in the cloud's namespace; the far ends of its links go with it."""
    netns.destroy(namespaces.cloud(site.name))


def router_card(site: Location) -> str:
    """The WAN router's interface on a cloud's side."""
    return f"cloud-{site.name}"
