"""The chapters of the demo."""

from demo.narrator import Narrator
from tests.testbed.install.federation import STORY, Federation, render
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.lab import Lab
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch, Tenant

_LEASE_SECONDS = 60


def tell(federation: Federation, narrator: Narrator, *, keep: bool = False) -> None:
    """All chapters in order; raises where reality does not follow the story."""
    lab = federation.lab
    before = [take(side.cloud) for side in federation.both]
    with lab.wan.capture() as capture:
        tenant = Tenant.create(lab.a, "shop", "10.20.0.0/24")
        _introduce(federation, narrator)
        stretch = _expand(federation, tenant, narrator)
        _talk(stretch, narrator)
        if keep:
            _inspect(lab, narrator)
            return
        _undo(federation, tenant, stretch, narrator)
    narrator.chapter("What was on the wire, from before the administrators agreed until after the last delete")
    narrator.seen(capture.summary().table())
    _require(capture.summary().esp > 0, "there is ESP on the wire")
    capture.summary().require_protected()
    _compare(federation, before, narrator)


def install(federation: Federation, narrator: Narrator) -> None:
    """The chapter before the story."""
    narrator.chapter("Isthmus in both clouds")
    narrator.say("In each cloud an administrator applies the manifests; a controller and an agent start.")
    narrator.typed("kubectl apply --server-side -k deploy/")
    federation.install()
    narrator.typed("kubectl get gatewaynodes          # in both clouds")
    for side in federation.both:
        narrator.seen(side.cloud.kubectl("get", "gatewaynodes"))


def _introduce(federation: Federation, narrator: Narrator) -> None:
    narrator.chapter("The administrators agree")
    narrator.say("Each writes whom it trusts, from which addresses, with which ciphers, and what the other may do.")
    narrator.typed("kubectl apply -f demo/cloud-a/peer.yaml   # A        kubectl apply -f demo/cloud-b/peer.yaml   # B")
    narrator.seen((STORY / "cloud-a" / "peer.yaml").read_text())
    federation.apply_peers()
    narrator.say("They exchange a pre-shared key, and a credential that can read one namespace and write nothing:")
    narrator.typed("isthmus peer-kubeconfig cloud-b --server https://192.0.2.10:6443   # A, for B; and B for A")
    federation.exchange_credentials()
    federation.wait_for_peers()
    narrator.typed("kubectl get cloudpeers            # in both clouds")
    for side in federation.both:
        narrator.seen(side.cloud.kubectl("get", "cloudpeers"))


def _expand(federation: Federation, tenant: Tenant, narrator: Narrator) -> Stretch:
    narrator.chapter("A tenant of A stretches a network to B")
    federation.bind("shop", tenant.project.id)
    machine = tenant.boot("web-1")
    narrator.say(f"Machine web-1 runs in cloud A with address {machine.address}. Now the tenant asks for cloud B:")
    narrator.typed("kubectl apply -f expansion.yaml")
    narrator.seen(render("cloud-a/expansion.yaml", network_id=tenant.network_id))
    federation.expand("web", "shop", tenant.network_id)
    federation.wait_expanded("web", "shop", tenant.network_id)
    for side in federation.both:
        narrator.typed(f"kubectl get isthmus -A            # cloud {side.cloud.name.upper()}")
        narrator.seen(side.cloud.kubectl("get", "isthmus", "-A"))
    return Stretch.of(federation, tenant, machine)


def _talk(stretch: Stretch, narrator: Narrator) -> None:
    narrator.chapter("A machine in B, booted after the stretch")
    member = stretch.remote.project
    narrator.say(
        "The copied project came without any user. B's administrator makes one for the tenant, with a role there:"
    )
    narrator.typed(f"openstack role add --user {member.name} --project {member.id} member   # B")
    remote = _boot(stretch, narrator)
    narrator.say("Both have Neutron's default security group, which admits no strangers:")
    narrator.typed(f"ping -c 3 {remote.address}               # on web-1")
    refused = stretch.local.ping(str(remote.address), count=3, interval_seconds=0.2)
    narrator.seen(_counts(refused))
    _require(refused.received == 0, "the default group keeps strangers out")
    narrator.say("The tenant admits its own subnet, in both clouds, through Neutron as ever:")
    narrator.typed(f"openstack security group rule create default --remote-ip {stretch.tenant.cidr}")
    stretch.admit()
    narrator.typed(f"ping -c 5 {remote.address}               # on web-1")
    there = stretch.wait_for_ping()
    narrator.seen(_counts(there))
    narrator.typed(f"ping -c 5 {stretch.local.address}               # on web-2")
    back = remote.ping(str(stretch.local.address), count=5, interval_seconds=0.2)
    narrator.seen(_counts(back))
    _require(there.all_answered and back.all_answered, "every ping is answered")
    for path, exchange in zip(("A to B", "B to A"), stretch.exchange(), strict=True):
        _require(exchange.intact, f"the payload of TCP from {path} is not changed on its way")
        narrator.say(f"1 MiB over TCP from {path} and back: SHA-256 {exchange.sent[:16]}… at both ends.")


def _boot(stretch: Stretch, narrator: Narrator) -> Machine:
    remote = stretch.boot_remote("web-2", addressed=False)
    try:
        remote.request_lease(_LEASE_SECONDS)
        how = "asked for an address by DHCP and got"
    except TimeoutError:
        remote.use_port_address()
        how = f"got no lease within {_LEASE_SECONDS} s from Neutron's busy DHCP agent, and takes its port's address"
    _require(stretch.is_of_slice(str(remote.address)), "its address is of B's slice")
    narrator.say(f"Machine web-2 in cloud B {how} {remote.address}, out of B's slice.")
    return remote


def _require(holds: bool, what: str) -> None:
    """The story tells nothing that was not seen."""
    if not holds:
        raise RuntimeError(f"the story does not hold: {what}")


def _counts(result: PingResult) -> str:
    rtt = "" if result.rtt_milliseconds is None else f", round trip {result.rtt_milliseconds:.1f} ms"
    return f"{result.transmitted} packets transmitted, {result.received} received{rtt}"


def _inspect(lab: Lab, narrator: Narrator) -> None:
    narrator.chapter("Look around")
    narrator.say("Everything is left running. Some places to look:")
    for command in (
        "python -m tests.testbed kubectl a get isthmus -A",
        "python -m tests.testbed exec gw-a1 ovs-ofctl -O OpenFlow15 dump-flows br-cloud",
        "python -m tests.testbed exec gw-a1 ip xfrm state",
        "python -m tests.testbed capture 10",
    ):
        narrator.typed(command)
    narrator.say(f"The lab's name is {lab.name}; tear it down with:")
    narrator.typed("make down")


def _undo(federation: Federation, tenant: Tenant, stretch: Stretch, narrator: Narrator) -> None:
    narrator.chapter("Taking it all back")
    narrator.say("The machine in B and the tenant's user there are deleted, then the tenant deletes the expansion:")
    stretch.remove_remotes()
    narrator.typed("kubectl delete networkexpansion -n shop web")
    federation.a.cloud.kubectl("delete", "networkexpansion", "-n", "shop", "web", "--timeout=60s")
    federation.settle()
    _require(federation.replica_of(tenant.network_id) is None, "the copy is gone")
    narrator.say(
        "The copy in B is gone, with its project. The administrators end the agreement, and then delete the Secrets:"
    )
    narrator.typed(
        "kubectl delete -f demo/cloud-a/peer.yaml   # A        kubectl delete -f demo/cloud-b/peer.yaml   # B"
    )
    for namespace in ("isthmus-system", "isthmus-ipsec"):
        narrator.typed(f"kubectl delete secret -n {namespace} peer-cloud-b   # A; and peer-cloud-a in B")
    federation.remove_peers()
    federation.a.cloud.kubectl("delete", "namespace", "shop")
    stretch.local.delete()
    tenant.delete()


def _compare(federation: Federation, before: list[Inventory], narrator: Narrator) -> None:
    narrator.chapter("Both clouds as they were")
    for side, was in zip(federation.both, before, strict=True):
        left = difference_once_settled(was, side.cloud)
        if left:
            raise SystemExit(f"cloud {side.cloud.name} is not as it was:\n{left}")
    narrator.say(
        """Neutron, Keystone, Open vSwitch, XFRM, nftables, network namespaces and Kubernetes objects of both clouds are
        the same as before the administrators agreed."""
    )
    narrator.say("To stop while the network is stretched and look around:")
    narrator.typed("make demo KEEP=1")
