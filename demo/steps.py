"""The steps of which the demo's stories consist."""

from collections.abc import Sequence
from typing import Final

from demo.outcome import letter, require
from demo.transcript import Transcript
from tests.testbed.install.federation import Federation, Manifests, apply, render
from tests.testbed.install.installation import REPOSITORY, Installation
from tests.testbed.lab import Lab
from tests.testbed.workload.machine import Machine, wait_for_pings
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch, Tenant

NAMESPACE, EXPANSION = "shop", "web"
INVITATION = "Each administrator chooses the allowed ciphers. Then A invites B: by a file, and a code on the phone."
LIMITS = "Each sets its limits for the other, in the CloudPeer that these commands have created:"
_CIDR: Final = "10.20.0.0/24"
_LEASE_SECONDS: Final = 60
_ADMITTED_SECONDS: Final = 30


def install(federation: Federation, transcript: Transcript) -> None:
    """Install Isthmus in clouds A and B."""
    transcript.heading("Install Isthmus in both clouds")
    transcript.text("In each cloud an administrator applies the manifests and starts a controller and an agent.")
    transcript.command("kubectl apply --server-side -k deploy/")
    federation.install()
    transcript.command("kubectl get gatewaynodes          # in both clouds")
    for side in federation.both:
        transcript.output(side.cloud.kubectl("get", "gatewaynodes"))


def tenant_of(lab: Lab) -> Tenant:
    """The tenant of cloud A with a network."""
    return Tenant.create(lab.a, NAMESPACE, _CIDR)


def peer(pair: Federation, transcript: Transcript, title: str, invitation: str, terms: str = LIMITS) -> None:
    """Peer two clouds."""
    transcript.heading(title)
    transcript.text(invitation)
    if pair.policies:
        _apply(pair.policies, transcript)
    ours, theirs = (side.cloud.cloud_id for side in pair.both)
    for command, comment in (
        (f"invite {theirs} --server {pair.a.api_url}", f"{letter(pair.a)}, which sends {letter(pair.b)} the file"),
        (f"join {ours}.for.{theirs}.isthmus --server {pair.b.api_url}", f"{letter(pair.b)}, which sends the answer"),
        (f"accept {theirs}.for.{ours}.isthmus", letter(pair.a)),
    ):
        transcript.command(f"{f'kubectl isthmus {command}':<88} # {comment}")
    pair.agree()
    transcript.text(terms)
    _apply(pair.cloud_peers, transcript)
    pair.wait_for_peers()
    transcript.command("kubectl get cloudpeers            # in both clouds")
    for side in pair.both:
        transcript.output(side.cloud.kubectl("get", "cloudpeers"))


def _apply(manifests: Manifests, transcript: Transcript) -> None:
    """Apply files in both clouds, and show the first one."""
    transcript.command(_on_files("apply", manifests))
    transcript.output(manifests[0][1].read_text())
    apply(manifests)


def _on_files(verb: str, manifests: Manifests) -> str:
    return _side_by_side([(f"kubectl {verb} -f {path.relative_to(REPOSITORY)}", side) for side, path in manifests])


def _side_by_side(commands: Sequence[tuple[str, Installation]]) -> str:
    """Commands that are typed in several clouds."""
    return "      ".join(f"{command:<44} # {letter(side)}" for command, side in commands)


def expand(pairs: Sequence[Federation], tenant: Tenant, file: str, transcript: Transcript) -> Machine:
    """Stretch a network with a machine to the receivers of these pairs, by a manifest of cloud A."""
    pairs[0].bind(NAMESPACE, tenant.project.id)
    machine = tenant.boot("web-1")
    transcript.text(f"Machine web-1 runs in cloud A with address {machine.address}. The tenant stretches its network:")
    transcript.command(f"kubectl apply -f {file}")
    manifest = render(f"cloud-a/{file}", network_id=tenant.network_id)
    transcript.output(manifest)
    tenant.cloud.kubectl("apply", "-f", "-", input=manifest)
    for pair in pairs:
        pair.wait_expanded(EXPANSION, NAMESPACE, tenant.network_id)
    return machine


def boot(stretch: Stretch, name: str, transcript: Transcript) -> Machine:
    """Boot a machine at a receiver, as a user with a role in the replica's project."""
    member, where = stretch.remote.project, stretch.remote.cloud.name.upper()
    transcript.command(f"openstack role add --user {member.name} --project {member.id} member   # {where}")
    remote = stretch.boot_remote(name, addressed=False)
    try:
        remote.request_lease(_LEASE_SECONDS)
        how = "was assigned"
    except TimeoutError:
        remote.use_port_address()
        how = f"got no DHCP lease within {_LEASE_SECONDS} s and is configured with its port's address"
    require(stretch.is_of_slice(str(remote.address)), f"its address is in {where}'s slice")
    transcript.text(
        f"Machine {name} in cloud {where} {how} {remote.address}, an address of {where}'s slice of the subnet."
    )
    return remote


def admit(stretches: Sequence[Stretch], transcript: Transcript) -> None:
    """Let the machines of one network reach each other."""
    local, tenant = stretches[0].local, stretches[0].tenant
    transcript.command(f"openstack security group rule create default --remote-ip {tenant.cidr}")
    for each in (tenant, *(stretch.remote for stretch in stretches)):
        each.admit()
    wait_for_pings([local, *(machine for stretch in stretches for machine in stretch.remotes)], _ADMITTED_SECONDS)


def ping(source: Machine, target: Machine, transcript: Transcript, count: int = 5) -> PingResult:
    """Ping one machine from another one."""
    transcript.command(f"ping -c {count} {target.address}               # on {source.name}")
    result = source.ping(str(target.address), count=count, interval_seconds=0.2)
    transcript.output(counts(result))
    return result


def counts(result: PingResult) -> str:
    """What ping has counted."""
    rtt = "" if result.rtt_milliseconds is None else f", round trip {result.rtt_milliseconds:.1f} ms"
    return f"{result.transmitted} packets transmitted, {result.received} received{rtt}"


def suggest_commands(lab: Lab, transcript: Transcript, *further: str) -> None:
    """Say what can be tried while everything is running."""
    transcript.heading("Explore")
    transcript.text("Everything is left running. Some commands to try:")
    for command in (
        "kubectl a get isthmus -A",
        "exec gw-a1 ovs-ofctl -O OpenFlow15 dump-flows br-cloud",
        "exec gw-a1 ip xfrm state",
        "capture 10",
        *further,
    ):
        transcript.command(f"python -m tests.testbed {command}")
    transcript.text(f"The lab's name is {lab.name}; tear it down with:")
    transcript.command("make down")


def withdraw(pairs: Sequence[Federation], stretches: Sequence[Stretch], transcript: Transcript, title: str) -> None:
    """Withdraw a network, and end the agreements by which it was stretched."""
    transcript.heading(title)
    tenant, receivers = stretches[0].tenant, " and ".join(letter(pair.receiver) for pair in pairs)
    transcript.text(
        f"Machines and users of the tenant in {receivers} are deleted, then the tenant deletes the expansion:"
    )
    for stretch in stretches:
        stretch.remove_remotes()
    transcript.command(f"kubectl delete networkexpansion -n {NAMESPACE} {EXPANSION}")
    tenant.cloud.kubectl("delete", "networkexpansion", "-n", NAMESPACE, EXPANSION, "--timeout=60s")
    for pair in pairs:
        pair.settle()
        require(pair.replica_of(tenant.network_id) is None, f"the replica in {letter(pair.receiver)} is gone")
    transcript.text(f"No replica is left in {receivers}, and no project of one. The administrators end the agreement:")
    for pair in reversed(pairs):
        end_agreement(pair, transcript)
    tenant.cloud.delete_namespace(NAMESPACE)
    stretches[0].local.delete()
    tenant.delete()


def end_agreement(pair: Federation, transcript: Transcript) -> None:
    """End an agreement on both sides, and delete the policies that were chosen for it."""
    directions = (pair.a, pair.b), (pair.b, pair.a)
    revoke = [(f"kubectl isthmus revoke {theirs.cloud.cloud_id}", ours) for ours, theirs in directions]
    transcript.command(_side_by_side(revoke))
    if pair.policies:
        transcript.command(_on_files("delete", pair.policies))
    pair.end_agreement()
