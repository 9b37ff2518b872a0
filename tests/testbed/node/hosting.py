"""Hosting of a gateway node: a User Mode Linux guest, or namespaces if the host's kernel suffices.

Both run `guest/boot.sh` as their first process and keep no state: they are ended by killing them.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.testbed.host import netns, process
from tests.testbed.topology import EXEC_PORT, WAN_MTU, Location, Namespaces

_GUEST_FILES: Final = Path(__file__).parent / "guest"
_BOOT: Final = _GUEST_FILES / "boot.sh"
MANAGEMENT_BRIDGE: Final = "mgmt"
WAN_BRIDGE: Final = "wan"
# Every system call of a guest switches between host processes: it must not wait for other processes each time. Where
# sessions have autogroups, the kernel weighs a process only within its own (sched(7)).
_PREFERRED: Final = ("sh", "-c", '{ echo -15 > /proc/self/autogroup; } 2> /dev/null; exec nice -n -15 "$@"', "guest")


def start(site: Location, *, kernel: Path | None, namespaces: Namespaces, directory: Path) -> None:
    """Start the node in User Mode Linux, or on the host's kernel; its cloud's namespace must exist."""
    cloud = namespaces.cloud(site.name)
    if kernel:
        start_guest(site, kernel=kernel, cloud_namespace=cloud, directory=directory)
    else:
        start_namespaces(site, namespace=namespaces.gateway(site), cloud_namespace=cloud, directory=directory)


def cables(site: Location) -> tuple[str, str]:
    """The interfaces in the cloud's namespace that lead to the node: management, WAN."""
    return f"{site.gateway}-mgmt", f"{site.gateway}-wan"


def connect(site: Location, namespaces: Namespaces, *, connected: bool) -> None:
    """Disconnect the running node from both networks, or connect it again; nothing else happens to it.

    The interfaces stay up: a guest never uses one again that was down.
    """
    bridges = zip(cables(site), (MANAGEMENT_BRIDGE, WAN_BRIDGE), strict=True)
    lines = [f"link set {cable} " + (f"master {bridge}" if connected else "nomaster") for cable, bridge in bridges]
    netns.batch("\n".join(lines), namespaces.cloud(site.name))


def end(site: Location, *, namespaces: Namespaces, directory: Path) -> None:
    """End the node as a power failure would, and remove its interfaces; it can be started again."""
    process.stop(directory, site.gateway, grace_seconds=0)
    netns.destroy(namespaces.gateway(site))
    listed = netns.run(namespaces.cloud(site.name), "ip", "-o", "link")
    left = [cable for cable in cables(site) if f" {cable}: " in listed or f" {cable}@" in listed]
    netns.batch("\n".join(f"link del {cable}" for cable in left), namespaces.cloud(site.name))


def start_guest(site: Location, *, kernel: Path, cloud_namespace: str, directory: Path) -> None:
    """Boot the node in User Mode Linux with this machine's root file system and taps in the cloud's namespace."""
    management, wan = cables(site)
    for tap, bridge in ((management, MANAGEMENT_BRIDGE), (wan, WAN_BRIDGE)):
        netns.batch(f"tuntap add dev {tap} mode tap\nlink set {tap} mtu {WAN_MTU} master {bridge} up", cloud_namespace)
    argv = [
        *_PREFERRED,
        str(kernel),
        f"mem={site.guest_memory_megabytes}M",
        f"umid={site.gateway}",
        f"uml_dir={directory}/",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        f"init={_BOOT}",
        "con=null",
        "con0=null,fd:2",
        "ssl=null",
        "loglevel=4",
        "panic=1",
        "random.trust_cpu=on",
        f"vec0:transport=tap,ifname={management},depth=128,gro=1,mtu={WAN_MTU}",
        f"vec1:transport=tap,ifname={wan},depth=128,gro=1,mtu={WAN_MTU}",
        f"NODE_ENVIRONMENT={_write_environment(site, directory, kind='guest')}",
    ]
    process.spawn(argv, name=site.gateway, directory=directory, netns=cloud_namespace)


def start_namespaces(site: Location, *, namespace: str, cloud_namespace: str, directory: Path) -> None:
    """Start the node on the host's kernel, with network, mount, PID and UTS namespaces of its own."""
    netns.create(namespace)
    management, wan = cables(site)
    for near, far, bridge in ((management, "eth0", MANAGEMENT_BRIDGE), (wan, "wan0", WAN_BRIDGE)):
        netns.batch(
            f"link add {near} mtu {WAN_MTU} type veth peer name {far} netns {namespace}\n"
            f"link set {near} master {bridge} up",
            cloud_namespace,
        )
    settings = _write_environment(site, directory, kind="namespaces")
    unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation=private"]
    process.spawn(
        ["env", "-i", f"NODE_ENVIRONMENT={settings}", *unshare, str(_BOOT)],
        name=site.gateway,
        directory=directory,
        netns=namespace,
    )


def _write_environment(site: Location, directory: Path, *, kind: str) -> Path:
    settings: Mapping[str, object] = {
        "NODE_KIND": kind,
        "NODE_NAME": site.gateway,
        "NODE_MANAGEMENT_ADDRESS": site.gateway_address,
        "NODE_WAN_ADDRESS": site.gateway_wan_address,
        "NODE_WAN_ROUTER": site.router_address.ip,
        "NODE_EXEC_SERVER": _GUEST_FILES / "execd.py",
        "NODE_EXEC_ADDRESS": site.gateway_address.ip,
        "NODE_EXEC_PORT": EXEC_PORT,
    }
    path = directory / f"{site.gateway}.env"
    path.write_text("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()))
    return path
