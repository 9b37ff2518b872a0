"""The steps of the demo."""

import tempfile

from demo.transcript import Transcript
from tests.testbed.install.federation import MANIFESTS, Federation, render
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.lab import Lab
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch, Tenant

_LEASE_SECONDS = 60


def run(federation: Federation, transcript: Transcript, *, keep: bool = False) -> None:
    """Run all steps in order; raises RuntimeError if a result is not the expected one."""
    lab = federation.lab
    before = [take(side.cloud) for side in federation.both]
    with lab.wan.capture() as capture:
        tenant = Tenant.create(lab.a, "shop", "10.20.0.0/24")
        _peer(federation, transcript)
        stretch = _expand(federation, tenant, transcript)
        _communicate(stretch, transcript)
        _show_status(federation, "What the administrators see meanwhile", transcript)
        if keep:
            _suggest_commands(lab, transcript)
            return
        _withdraw(federation, tenant, stretch, transcript)
    transcript.heading("Traffic on the WAN during the whole demo")
    transcript.output(capture.summary().table())
    _require(capture.summary().esp > 0, "there is ESP on the WAN")
    capture.summary().require_protected()
    _compare(federation, before, transcript)
    _show_status(federation, "What the administrators see now", transcript)
    transcript.text("To stop while the network is stretched:")
    transcript.command("make demo KEEP=1")


def install(federation: Federation, transcript: Transcript) -> None:
    """Install Isthmus in both clouds."""
    transcript.heading("Install Isthmus in both clouds")
    transcript.text("In each cloud an administrator applies the manifests and starts a controller and an agent.")
    transcript.command("kubectl apply --server-side -k deploy/")
    federation.install()
    transcript.command("kubectl get gatewaynodes          # in both clouds")
    for side in federation.both:
        transcript.output(side.cloud.kubectl("get", "gatewaynodes"))


def _peer(federation: Federation, transcript: Transcript) -> None:
    transcript.heading("Peer the two clouds")
    transcript.text(
        "Each administrator chooses the allowed ciphers. Then A invites B: by a file, and a code on the phone."
    )
    transcript.command(
        "kubectl apply -f demo/cloud-a/policy.yaml   # A      kubectl apply -f demo/cloud-b/policy.yaml   # B"
    )
    transcript.output((MANIFESTS / "cloud-a" / "policy.yaml").read_text())
    federation.apply("policy.yaml")
    for command, comment in (
        (f"invite cloud-b --server {federation.a.api_url}", "A, which sends B the file"),
        (f"join cloud-a.for.cloud-b.isthmus --server {federation.b.api_url}", "B, which sends the answer"),
        ("accept cloud-b.for.cloud-a.isthmus", "A"),
    ):
        transcript.command(f"{f'kubectl isthmus {command}':<88} # {comment}")
    federation.agree()
    transcript.text("Each sets its limits for the other, in the CloudPeer that these commands have created:")
    transcript.command(
        "kubectl apply -f demo/cloud-a/peer.yaml     # A      kubectl apply -f demo/cloud-b/peer.yaml     # B"
    )
    transcript.output((MANIFESTS / "cloud-a" / "peer.yaml").read_text())
    federation.apply("peer.yaml")
    federation.wait_for_peers()
    transcript.command("kubectl get cloudpeers            # in both clouds")
    for side in federation.both:
        transcript.output(side.cloud.kubectl("get", "cloudpeers"))


def _expand(federation: Federation, tenant: Tenant, transcript: Transcript) -> Stretch:
    transcript.heading("Stretch a network from A to B")
    federation.bind("shop", tenant.project.id)
    machine = tenant.boot("web-1")
    transcript.text(f"Machine web-1 runs in cloud A with address {machine.address}. The tenant stretches its network:")
    transcript.command("kubectl apply -f expansion.yaml")
    transcript.output(render("cloud-a/expansion.yaml", network_id=tenant.network_id))
    federation.expand("web", "shop", tenant.network_id)
    federation.wait_expanded("web", "shop", tenant.network_id)
    for side in federation.both:
        transcript.command(f"kubectl get isthmus -A            # cloud {side.cloud.name.upper()}")
        transcript.output(side.cloud.kubectl("get", "isthmus", "-A"))
    return Stretch.of(federation, tenant, machine)


def _communicate(stretch: Stretch, transcript: Transcript) -> None:
    transcript.heading("Boot a machine in B and reach it from A")
    member = stretch.remote.project
    transcript.text(
        "The replica project has no users. B's administrator creates one for the tenant and assigns a role:"
    )
    transcript.command(f"openstack role add --user {member.name} --project {member.id} member   # B")
    remote = _boot(stretch, transcript)
    transcript.text("Neutron's default security group admits only machines of the same cloud that are in the group:")
    transcript.command(f"ping -c 3 {remote.address}               # on web-1")
    blocked = stretch.local.ping(str(remote.address), count=3, interval_seconds=0.2)
    transcript.output(_counts(blocked))
    _require(blocked.received == 0, "the default security group blocks the ping")
    transcript.text("The tenant allows its own subnet in both clouds, in Neutron as usual:")
    transcript.command(f"openstack security group rule create default --remote-ip {stretch.tenant.cidr}")
    stretch.admit()
    transcript.command(f"ping -c 5 {remote.address}               # on web-1")
    there = stretch.wait_for_ping()
    transcript.output(_counts(there))
    transcript.command(f"ping -c 5 {stretch.local.address}               # on web-2")
    back = remote.ping(str(stretch.local.address), count=5, interval_seconds=0.2)
    transcript.output(_counts(back))
    _require(there.all_answered and back.all_answered, "every ping is answered")
    for path, exchange in zip(("A to B", "B to A"), stretch.exchange(), strict=True):
        _require(exchange.intact, f"the TCP payload from {path} is unchanged")
        transcript.text(f"1 MiB over TCP from {path} and back: SHA-256 {exchange.sent[:16]}… at both ends.")


def _boot(stretch: Stretch, transcript: Transcript) -> Machine:
    remote = stretch.boot_remote("web-2", addressed=False)
    try:
        remote.request_lease(_LEASE_SECONDS)
        how = "was assigned"
    except TimeoutError:
        remote.use_port_address()
        how = f"got no DHCP lease within {_LEASE_SECONDS} s and is configured with its port's address"
    _require(stretch.is_of_slice(str(remote.address)), "its address is in B's slice")
    transcript.text(f"Machine web-2 in cloud B {how} {remote.address}, an address of B's slice of the subnet.")
    return remote


def _require(holds: bool, what: str) -> None:
    """Fail unless what the demo claims was observed."""
    if not holds:
        raise RuntimeError(f"unexpected result: not true that {what}")


def _counts(result: PingResult) -> str:
    rtt = "" if result.rtt_milliseconds is None else f", round trip {result.rtt_milliseconds:.1f} ms"
    return f"{result.transmitted} packets transmitted, {result.received} received{rtt}"


def _suggest_commands(lab: Lab, transcript: Transcript) -> None:
    transcript.heading("Explore")
    transcript.text("Everything is left running. Some commands to try:")
    for command in (
        "python -m tests.testbed kubectl a get isthmus -A",
        "python -m tests.testbed exec gw-a1 ovs-ofctl -O OpenFlow15 dump-flows br-cloud",
        "python -m tests.testbed exec gw-a1 ip xfrm state",
        "python -m tests.testbed capture 10",
    ):
        transcript.command(command)
    transcript.text(f"The lab's name is {lab.name}; tear it down with:")
    transcript.command("make down")


def _withdraw(federation: Federation, tenant: Tenant, stretch: Stretch, transcript: Transcript) -> None:
    transcript.heading("Withdraw the network and end the peering")
    transcript.text("The tenant's machine and user in B are deleted, then the tenant deletes the expansion:")
    stretch.remove_remotes()
    transcript.command("kubectl delete networkexpansion -n shop web")
    federation.a.cloud.kubectl("delete", "networkexpansion", "-n", "shop", "web", "--timeout=60s")
    federation.settle()
    _require(federation.replica_of(tenant.network_id) is None, "the replica is gone")
    transcript.text("The replica in B is gone, and so is its project. The administrators end the agreement:")
    transcript.command("kubectl isthmus revoke cloud-b   # A              kubectl isthmus revoke cloud-a   # B")
    transcript.command(
        "kubectl delete -f demo/cloud-a/policy.yaml   # A      kubectl delete -f demo/cloud-b/policy.yaml   # B"
    )
    federation.end_agreement()
    federation.a.cloud.kubectl("delete", "namespace", "shop")
    stretch.local.delete()
    tenant.delete()


def _compare(federation: Federation, before: list[Inventory], transcript: Transcript) -> None:
    transcript.heading("Compare both clouds with their initial state")
    for side, was in zip(federation.both, before, strict=True):
        left = difference_once_settled(was, side.cloud)
        if left:
            raise SystemExit(f"cloud {side.cloud.name} has changed:\n{left}")
    transcript.text(
        """Neutron, Keystone, Open vSwitch, XFRM, nftables, network namespaces and Kubernetes objects of both clouds are
        the same as before the peering."""
    )


def _show_status(federation: Federation, title: str, transcript: Transcript) -> None:
    """What `kubectl isthmus status` says in both clouds; it fails if anything is wrong."""
    transcript.heading(title)
    for side in federation.both:
        transcript.command(f"kubectl isthmus status            # cloud {side.cloud.name.upper()}")
        with tempfile.TemporaryDirectory() as directory:
            transcript.output(side.isthmus("status", directory=directory))
