"""Open vSwitch on this node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from isthmus.model.node.flows import FlowChanges, Flows, FlowView
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, Ports


class Ovsdb(Protocol):
    """The Open_vSwitch database of this node (ovs-vswitchd.conf.db(5)), which Neutron's agent writes to as well.

    Bridges and ports without the external_ids key `names.OWNER_KEY` MUST NOT be changed, and columns that are shared
    with Neutron MUST be changed by mutation, never by replacing their value.
    Effects wait until ovs-vswitchd has applied them: `Unavailable` if it does not in time, or if the database does not
    answer. If the database refuses a transaction, `Invalid`; nothing of it MUST have been done then.
    """

    def view(self) -> BridgeView:
        """The bridge, all ports of ours, and the UDP ports of foreign tunnels, of one consistent snapshot."""
        ...

    def ensure_bridge(self) -> None:
        """Create br-cloud with its probe port, or repair them.

        fail_mode MUST be `secure`: without flows nothing may be forwarded. `Conflict` if a bridge of that name is not
        ours.
        """
        ...

    def apply(self, add: Ports, remove_interfaces: Iterable[str]) -> None:
        """Remove and add ports in one transaction; an interface that is both removed and added is recreated.

        Both ends of a patch pair MUST be added together, and br-int SHOULD forget the addresses that it has learned:
        those of the network may be behind another node, which carried it before. Interfaces that do not exist or are
        not ours are not removed, without an error. `NotFound` if a bridge does not exist.
        """
        ...

    def set_numbers(self, numbers: Numbers) -> None:
        """Record these numbers of networks, and all those of members, so that they survive agent and ovs-vswitchd.

        The numbers of other networks MUST stay. A network's number MUST vanish with its patch port, and all others with
        br-cloud. Does nothing without it.
        """
        ...

    def remove_bridge(self) -> None:
        """Remove br-cloud with its ports; does nothing if it does not exist or is not ours."""
        ...


class OpenFlow(Protocol):
    """The flows and meters of br-cloud.

    All methods but `instance`, `mounted_directory_is_deleted` and `changed` raise `Unavailable` if there is no
    br-cloud. None but `replace` may cost more the more flows were learned.
    """

    def instance(self) -> str:
        """Identity of the running ovs-vswitchd: MUST change when it restarts or br-cloud is recreated; "" if none runs.

        A new instance has no flows. Polled several times a second, so it MUST be cheap; does not raise.
        """
        ...

    def mounted_directory_is_deleted(self) -> bool:
        """Whether the directory of ovs-vswitchd's sockets is a mount of one that was deleted since.

        Then no ovs-vswitchd can ever be reached from here again: another one makes its sockets in a directory of the
        same name that this process does not see. MUST be cheap; does not raise.
        """
        ...

    def changed(self) -> frozenset[int] | None:
        """Cookies of all flows that anybody added, changed or deleted since the last call, except learned flows.

        None if that is not known, as at the first call. What `replace` changes MAY be reported a moment later.
        Called at each observation, so it MUST be cheap; does not raise.
        """
        ...

    def view(self) -> FlowView:
        """All flows but the learned ones, and all meters."""
        ...

    def flows_of(self, cookie: int) -> Flows:
        """The flows with that cookie, which MUST not cost more the more others there are."""
        ...

    def replace(self, changes: FlowChanges) -> None:
        """Make these changes; flows that they do not name MUST keep their counters.

        All flows MUST be changed in one atomic bundle, so that no frame meets a part of it; meters that it uses are
        installed before it. `Invalid` if the switch rejects a flow or a meter; no flow MUST have changed then.
        """
        ...
