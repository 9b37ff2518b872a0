"""The story of three clouds: B and C reach each other through A, by a tunnel of their own, and through A again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from demo import outcome, steps
from demo.outcome import letter, require
from demo.transcript import Transcript
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import Installation
from tests.testbed.install.spoke import DIRECT, THROUGH, Receivers, Spoke, wait_connected
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch, Tenant

_PING_SECONDS: Final = 0.05
_SOME_SECONDS: Final = 2.0
_MEMBERS: Final = "jsonpath={.items[*].status.nodes[*].members[*]}"


@dataclass(frozen=True)
class Network:
    """A network of A that is stretched to B and C."""

    pairs: tuple[Federation, Spoke]
    receivers: Receivers
    stretches: Sequence[Stretch]

    @property
    def tenant(self) -> Tenant:
        """Its tenant at A."""
        return self.stretches[0].tenant

    @property
    def remotes(self) -> tuple[Machine, Machine]:
        """The machines in B and C."""
        b, c = (stretch.remotes[0] for stretch in self.stretches)
        return b, c

    @property
    def sides(self) -> tuple[Installation, ...]:
        """All three."""
        return (self.pairs[0].a, *self.receivers.both)

    def wait_for_path(self, path: str) -> None:
        """Wait until B and C reach each other by this path."""
        self.receivers.wait_for_path(self.pairs[0].link_name(self.tenant.network_id), path)
        wait_connected(self.tenant.cloud, steps.EXPANSION, steps.NAMESPACE)


def join(federation: Federation, transcript: Transcript) -> Spoke:
    """Start the third cloud, and install Isthmus in it."""
    transcript.heading("A third cloud")
    transcript.text(
        """Cloud C runs OpenStack 2024.1 with ML2/OVN, and shares nothing with the other two, not even MariaDB. Its
        administrator installs Isthmus as the others did."""
    )
    spoke = Spoke(federation, federation.lab.third.start())
    transcript.command("kubectl apply --server-side -k deploy/          # C")
    spoke.install()
    transcript.command("kubectl get gatewaynodes                        # C")
    transcript.output(spoke.b.cloud.kubectl("get", "gatewaynodes"))
    return spoke


def run(federation: Federation, spoke: Spoke, transcript: Transcript, *, keep: bool = False) -> None:
    """Run all steps in order; raises RuntimeError if a result is not the expected one."""
    lab, sides = federation.lab, (*federation.both, spoke.b)
    before = outcome.inventories(sides)
    with lab.wan.capture(spoke.b.cloud.gateway) as capture:
        tenant = steps.tenant_of(lab)
        _peer_with_origin(federation, spoke, transcript)
        network = _expand(federation, spoke, tenant, transcript)
        _communicate(network, transcript)
        _agree(network, transcript)
        outcome.show_status(sides, "What the administrators see meanwhile", transcript)
        if keep:
            steps.suggest_commands(lab, transcript, f"kubectl b get attachments -A -o '{_MEMBERS}'")
            return
        _disagree(network, transcript)
        steps.withdraw(network.pairs, network.stretches, transcript, "Withdraw the network and end the peerings")
    outcome.finish(sides, before, capture, transcript, "all three clouds")
    transcript.text("To stop while B and C reach each other directly:")
    transcript.command("make demo TOPOLOGY=hybrid KEEP=1")


def _peer_with_origin(federation: Federation, spoke: Spoke, transcript: Transcript) -> None:
    steps.peer(federation, transcript, "Peer A with B", steps.INVITATION)
    steps.peer(
        spoke,
        transcript,
        "Peer A with C",
        "C's administrator chooses the allowed ciphers, too. Then A invites C in the same way.",
    )


def _expand(federation: Federation, spoke: Spoke, tenant: Tenant, transcript: Transcript) -> Network:
    transcript.heading("Stretch a network from A to B and C")
    pairs = federation, spoke
    machine = steps.expand(pairs, tenant, "hybrid.yaml", transcript)
    network = Network(pairs, Receivers(federation, spoke), [Stretch.of(pair, tenant, machine) for pair in pairs])
    network.wait_for_path(THROUGH)
    _show_expansion(federation.a, transcript)
    return network


def _communicate(network: Network, transcript: Transcript) -> None:
    transcript.heading("Boot machines in B and C, which reach each other through A")
    transcript.text(
        "The replica projects have no users. Their administrators create one for the tenant and assign a role:"
    )
    for number, stretch in enumerate(network.stretches, start=2):
        steps.boot(stretch, f"web-{number}", transcript)
    transcript.text("The tenant allows its own subnet in all clouds, in Neutron as usual:")
    steps.admit(network.stretches, transcript)
    transcript.text("B and C have no agreement with each other: A hands frames between them on.")
    _show_path(network, transcript)


def _agree(network: Network, transcript: Transcript) -> None:
    def agree() -> None:
        steps.peer(
            network.receivers,
            transcript,
            "Let B and C agree with each other",
            "Both have their ciphers already. B invites C in the same way, while web-2 pings web-3.",
            "Each says that the other one is reached directly, which is also what it does by default:",
        )
        network.wait_for_path(DIRECT)

    result = _pinged_while(network, agree)
    transcript.text("Frames between B and C have moved to the tunnel of these two. Of the pings meanwhile:")
    transcript.output(_counts(result))
    require(result.all_answered, "no frame is lost while the path becomes direct")
    _show_path(network, transcript)


def _disagree(network: Network, transcript: Transcript) -> None:
    def disagree() -> None:
        transcript.heading("End the agreement of B and C")
        transcript.text("Their tunnel goes with it, while web-2 pings web-3:")
        steps.end_agreement(network.receivers, transcript)
        network.wait_for_path(THROUGH)

    result = _pinged_while(network, disagree)
    transcript.text("A hands frames between B and C on again. Of the pings meanwhile:")
    transcript.output(_counts(result))
    _show_path(network, transcript)


def _pinged_while(network: Network, change: Callable[[], None]) -> PingResult:
    """Ping C's machine from B's, from before the change until some time after it."""
    b, c = network.remotes
    with b.start_ping(str(c.address), _PING_SECONDS) as run:
        change()
        time.sleep(_SOME_SECONDS)
        return run.stop()


def _counts(result: PingResult) -> str:
    return f"{steps.counts(result)}, longest silence {result.longest_silence_seconds:.2f} s"


def _show_path(network: Network, transcript: Transcript) -> None:
    """By which path B and C reach each other, and that they do."""
    b, c = network.remotes
    pings = steps.ping(b, c, transcript), steps.ping(c, b, transcript)
    require(all(each.all_answered for each in pings), "B and C reach each other")
    outcome.wait_until_fine(network.sides)
    _show_expansion(network.sides[0], transcript)
    for side in network.receivers.both:
        transcript.command(f"kubectl get attachments -A -o '{_MEMBERS}'   # cloud {letter(side)}")
        transcript.output(side.cloud.kubectl("get", "attachments", "-A", "-o", _MEMBERS))
        transcript.command(f"kubectl isthmus topology            # cloud {letter(side)}")
        transcript.output(outcome.answer(side, "topology"))


def _show_expansion(origin: Installation, transcript: Transcript) -> None:
    transcript.command(f"kubectl get networkexpansion -n {steps.NAMESPACE}            # cloud {letter(origin)}")
    transcript.output(origin.cloud.kubectl("get", "networkexpansion", "-n", steps.NAMESPACE))
