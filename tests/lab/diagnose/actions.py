"""What the faults do to the two clouds, and how it is undone."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import yaml

from isthmus.model.names import tunnel_port
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, patch_spec
from tests.testbed.install.installation import IPSEC, SYSTEM, Installation, new_psk
from tests.testbed.node import openvswitch
from tests.testbed.topology import CloudName
from tests.testbed.wan.router import Wan
from tests.testbed.workload.tenant import Stretch

# Of an IKEv2 message in UDP (RFC 7296, 3.1): the octet with the exchange type is the 19th after the UDP header.
_CREATE_CHILD_SA = "udp dport 500 @th,208,8 36"


@dataclass
class Place:
    """Both clouds, the WAN between them, and one stretched network."""

    federation: Federation
    stretch: Stretch
    kubeconfig: str
    """With which A reads B."""
    undo: list[AbstractContextManager[None]] = field(default_factory=list)

    @property
    def a(self) -> Installation:
        return self.federation.a

    @property
    def b(self) -> Installation:
        return self.federation.b

    @property
    def wan(self) -> Wan:
        return self.federation.lab.wan


def restart_charons(place: Place, *, keep_states: bool = True) -> None:
    """Kill and start both: new SAs must be negotiated, beside the old ones that the kernel has or instead of them."""
    for side in (place.a, place.b):
        side.cloud.gateway.charon.kill()
        if not keep_states:
            side.cloud.gateway.run("ip xfrm state flush")
    for side in (place.a, place.b):
        side.cloud.gateway.charon.start()


def drop_ike(place: Place, source: CloudName | None = None) -> None:
    place.wan.drop_between_gateways("udp dport 500", source)
    restart_charons(place)


def drop_further_children(place: Place) -> None:
    """With the SAs of before, each charon would take over by an IKE SA of its own, whose first child suffices."""
    place.wan.drop_between_gateways(_CREATE_CHILD_SA)
    restart_charons(place, keep_states=False)


def read_kubeconfig(installation: Installation, peer_cloud_id: str) -> str:
    """The credential with which a cloud reads its peer."""
    path = "jsonpath={.data.kubeconfig}"
    return base64.b64decode(
        installation.cloud.kubectl("get", "secret", "-n", SYSTEM, f"peer-{peer_cloud_id}", "-o", path)
    ).decode()


def restore_kubeconfig(place: Place) -> None:
    place.a.set_peer_kubeconfig(place.b.cloud.cloud_id, place.kubeconfig)


def delete_kubeconfig(place: Place) -> None:
    place.a.cloud.kubectl("delete", "secret", "-n", SYSTEM, f"peer-{place.b.cloud.cloud_id}")


def spoil_token(place: Place) -> None:
    def spoil(document: dict[str, Any]) -> None:
        token = document["users"][0]["user"]["token"]
        document["users"][0]["user"]["token"] = token[:-8] + token[-8:][::-1]

    _change_kubeconfig(place, spoil)


def trust_another_authority(place: Place) -> None:
    """That of A's own API server instead of B's."""
    own = json.loads(place.a.cloud.kube.kubeconfig.read_text())["clusters"][0]["cluster"]

    def trust(document: dict[str, Any]) -> None:
        document["clusters"][0]["cluster"]["certificate-authority-data"] = own["certificate-authority-data"]

    _change_kubeconfig(place, trust)


def _change_kubeconfig(place: Place, change: Callable[[dict[str, Any]], None]) -> None:
    document = yaml.safe_load(place.kubeconfig)
    change(document)
    place.a.set_peer_kubeconfig(place.b.cloud.cloud_id, yaml.safe_dump(document))


def change_peer(installation: Installation, **spec: Any) -> None:
    """Change the CloudPeer of an installation, as its administrator."""
    peer = "cloud-b" if installation.cloud.name == "a" else "cloud-a"
    patch_spec(installation.cloud, "cloudpeer", peer, spec)


def change_proposal(installation: Installation, proposal: str) -> None:
    patch_spec(installation.cloud, "ipsecpolicy", "strong", {"ike": {"proposals": [proposal]}})


def change_key(place: Place) -> None:
    place.b.set_psk(place.a.cloud.cloud_id, new_psk())
    restart_charons(place)


def delete_key(place: Place) -> None:
    place.a.cloud.kubectl("delete", "secret", "-n", IPSEC, f"peer-{place.b.cloud.cloud_id}")


def restore_key(place: Place) -> None:
    place.federation.agree_on_key()


def kill_switch_of_b(place: Place) -> None:
    gateway = place.b.cloud.gateway
    gateway.kill("ovs-vswitchd", signal.SIGKILL)
    wait_until(lambda: not gateway.alive("ovs-vswitchd"), 60, "end of ovs-vswitchd")


def start_switch_of_b(place: Place) -> None:
    openvswitch.start_switch(place.b.cloud.gateway)


def disable_bfd_of_b(place: Place) -> None:
    place.b.stop_process("agent")
    port = tunnel_port(place.a.cloud.cloud_id, place.a.cloud.gateway.name)
    place.b.cloud.gateway.run(["ovs-vsctl", "set", "Interface", port, "bfd:enable=false"])


def delete_flows_of_b(place: Place) -> None:
    place.b.stop_process("agent")
    place.b.cloud.gateway.run("ovs-ofctl -O OpenFlow15 del-flows br-cloud table=8")


def start_agent_of_b(place: Place) -> None:
    place.b.start_agent()


def enable_network(place: Place, *, enabled: bool) -> None:
    network: Any = place.a.cloud.openstack().network
    network.update_network(place.stretch.tenant.network_id, is_admin_state_up=enabled)


def enable_replica(place: Place, *, enabled: bool) -> None:
    network: Any = place.b.cloud.openstack().network
    network.update_network(place.stretch.remote.network_id, is_admin_state_up=enabled)


def spoil_password(place: Place) -> None:
    """In the clouds file of A, which its controller reads again."""
    document = json.loads(place.a.clouds_file.read_text())
    document["clouds"]["isthmus"]["auth"]["password"] = "wrong"
    _replace_clouds_file(place, json.dumps(document))


def start_without_clouds_file(place: Place) -> None:
    """A controller that has a connection keeps it while there is no file."""
    _replace_clouds_file(place, None)
    place.a.stop_process("controller")
    place.a.start_controller()


def _replace_clouds_file(place: Place, content: str | None) -> None:
    changed = place.a.wrong_clouds_file(content)
    changed.__enter__()
    place.undo.append(changed)


def restore_clouds_file(place: Place) -> None:
    while place.undo:
        place.undo.pop().__exit__(None, None, None)


def cut_api_and_esp(place: Place) -> None:
    place.wan.cut_api("b")
    place.wan.drop_between_gateways("meta l4proto esp", source="b")


def restore_api_and_esp(place: Place) -> None:
    place.wan.restore_api("b")
    place.wan.pass_between_gateways()


def spoil_password_and_lose_long_packets(place: Place) -> None:
    spoil_password(place)
    place.wan.drop_between_gateways("meta l4proto esp meta length > 640")


def restore_password_and_long_packets(place: Place) -> None:
    restore_clouds_file(place)
    place.wan.pass_between_gateways()
