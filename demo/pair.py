"""The story of two clouds: a network of A is stretched to B, used, and withdrawn."""

from demo import outcome, steps
from demo.outcome import letter, require
from demo.transcript import Transcript
from tests.testbed.install.federation import Federation
from tests.testbed.workload.tenant import Stretch, Tenant


def run(federation: Federation, transcript: Transcript, *, keep: bool = False) -> None:
    """Run all steps in order; raises RuntimeError if a result is not the expected one."""
    lab, sides = federation.lab, federation.both
    before = outcome.inventories(sides)
    with lab.wan.capture() as capture:
        tenant = steps.tenant_of(lab)
        steps.peer(federation, transcript, "Peer the two clouds", steps.INVITATION)
        stretch = _expand(federation, tenant, transcript)
        _communicate(stretch, transcript)
        outcome.show_status(sides, "What the administrators see meanwhile", transcript)
        if keep:
            steps.suggest_commands(lab, transcript)
            return
        steps.withdraw([federation], [stretch], transcript, "Withdraw the network and end the peering")
    outcome.finish(sides, before, capture, transcript, "both clouds")
    transcript.text("To stop while the network is stretched:")
    transcript.command("make demo KEEP=1")


def _expand(federation: Federation, tenant: Tenant, transcript: Transcript) -> Stretch:
    transcript.heading("Stretch a network from A to B")
    machine = steps.expand([federation], tenant, "expansion.yaml", transcript)
    for side in federation.both:
        transcript.command(f"kubectl get isthmus -A            # cloud {letter(side)}")
        transcript.output(side.cloud.kubectl("get", "isthmus", "-A"))
    return Stretch.of(federation, tenant, machine)


def _communicate(stretch: Stretch, transcript: Transcript) -> None:
    transcript.heading("Boot a machine in B and reach it from A")
    transcript.text(
        "The replica project has no users. B's administrator creates one for the tenant and assigns a role:"
    )
    local, remote = stretch.local, steps.boot(stretch, "web-2", transcript)
    transcript.text("Neutron's default security group admits only machines of the same cloud that are in the group:")
    blocked = steps.ping(local, remote, transcript, count=3)
    require(blocked.received == 0, "the default security group blocks the ping")
    transcript.text("The tenant allows its own subnet in both clouds, in Neutron as usual:")
    steps.admit([stretch], transcript)
    there, back = steps.ping(local, remote, transcript), steps.ping(remote, local, transcript)
    require(there.all_answered and back.all_answered, "every ping is answered")
    for path, exchange in zip(("A to B", "B to A"), stretch.exchange(), strict=True):
        require(exchange.intact, f"the TCP payload from {path} is unchanged")
        transcript.text(f"1 MiB over TCP from {path} and back: SHA-256 {exchange.sent[:16]}… at both ends.")
