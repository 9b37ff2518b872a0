"""The plain peer in the testbed: a third cloud with an API server and a gateway node, without Isthmus."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.lab.interop.plain.control import Control
from tests.testbed.cloud.servers.daemon import await_server
from tests.testbed.host import process
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.lab import Lab
from tests.testbed.node import hosting
from tests.testbed.node.node import Node, Place
from tests.testbed.topology import KUBERNETES_PORT, PLAIN_SITE
from tests.testbed.wan import wiring

PLAIN: Final = Path(__file__).parent / "plain"
DEFINITIONS: Final = Path(__file__).parents[3] / "crds"
_SECRET: Final = "/run/plain/secret.conf"
_CONNECTIONS: Final = "/run/plain/swanctl.conf"


class PlainCloud:
    """Cloud C. Its implementation of the protocol is in `plain/`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._directory = lab.directory / "plain"
        self._directory.mkdir(exist_ok=True)
        addresses = [str(PLAIN_SITE.server_address.ip), str(PLAIN_SITE.server_wan_address.ip)]
        netns = lab.state.namespaces.cloud(PLAIN_SITE.name)
        self.kube = ControlPlane(lab.state.assets, self._directory / "kube", addresses=addresses, netns=netns)
        self.node = Node(PLAIN_SITE, lab.directory)
        self.peer_kubeconfig = self._directory / "from-cloud-a.kubeconfig"
        self.control = Control(self.kube.kubectl, self.peer_kubeconfig)

    @property
    def server(self) -> str:
        """The server address at which the other cloud reads our API."""
        return f"https://{PLAIN_SITE.server_wan_address.ip}:{KUBERNETES_PORT}"

    def start(self) -> None:
        """Connect it, start its API server and its node, and set up the API as the protocol requires."""
        wiring.add(self._lab.state.namespaces, PLAIN_SITE)
        with ThreadPoolExecutor() as pool:
            for task in [pool.submit(self._start_node), pool.submit(self._start_kubernetes)]:
                task.result()

    def stop(self) -> None:
        """Remove it."""
        self.kube.stop()
        process.stop(self._lab.directory, PLAIN_SITE.gateway, grace_seconds=0)
        wiring.remove(self._lab.state.namespaces, PLAIN_SITE)

    def hand_over(self) -> str:
        """The kubeconfig for cloud A."""
        return wait_until(lambda: self.control.credential(self.server), 60, "the reader's token")

    def receive(self, kubeconfig: str) -> None:
        """The kubeconfig that cloud A's administrator has handed over."""
        self.peer_kubeconfig.touch(mode=0o600)
        self.peer_kubeconfig.write_text(kubeconfig)

    def open_tunnel(self, psk: str) -> None:
        """Bring up the gateway, whose blocks are in place, in the order of section 6.5."""
        owners = "id-1 = gw-c1.cloud-c\n    id-2 = gw-a1.cloud-a"
        self.node.put(_SECRET, f'secrets {{\n  ike-cloud-a {{\n    {owners}\n    secret = "{psk}"\n  }}\n}}\n', 0o600)
        self.node.put(_CONNECTIONS, (PLAIN / "swanctl.conf").read_text())
        settings = {"STRONGSWAN_CONF": str(PLAIN / "strongswan.conf")}
        self.node.spawn(["/usr/lib/ipsec/charon"], "charon", env=settings)
        self.gateway("connect")
        self.gateway("tunnel")
        self.respond("bfd", "vx-bfd")

    def stretch(self, name: str, tunnel_id: int, role: str, gateway: str, address: str) -> Place:
        """Carry a network, with one machine on it; the machine."""
        self.gateway("stretch", name, str(tunnel_id), role, gateway, f"{address}/24", "1416")
        self.respond("probe", f"vx-{name}")
        return self.node.place(name)

    def cut(self, name: str) -> None:
        """Disconnect the network, and end its machine."""
        self.node.stop(f"probe-vx-{name}")
        self.node.channel.forget(name)
        self.gateway("cut", name)

    def gateway(self, *words: str) -> None:
        """Run the gateway's script."""
        self.node.run(["bash", str(PLAIN / "gateway.sh"), *words])

    def respond(self, what: str, device: str) -> None:
        """Start the responder on a device; its output is in `responses`."""
        name = f"{what}-{device}"
        self.node.log(name).unlink(missing_ok=True)
        self.node.spawn(["/usr/bin/python3", "-IS", str(PLAIN / "responder.py"), what, device], name)

    def responses(self, what: str, device: str) -> list[str]:
        """Output of the responder so far."""
        return self.node.log(f"{what}-{device}").read_text().splitlines()

    def _start_node(self) -> None:
        lab = self._lab
        hosting.start(
            PLAIN_SITE, kernel=lab.state.assets.uml_kernel, namespaces=lab.state.namespaces, directory=lab.directory
        )
        await_server(lab.directory, PLAIN_SITE.gateway, self.node.channel.answers, timeout_seconds=180)

    def _start_kubernetes(self) -> None:
        self.kube.start()
        self.kube.kubectl("apply", "-f", str(DEFINITIONS / "peerlinks.yaml"))
        self.kube.kubectl("apply", "-f", str(DEFINITIONS / "expansionlinks.yaml"))
        self.kube.kubectl("apply", "-f", str(PLAIN / "reader.yaml"))
