"""Faults of the processes and of the systems that they need."""

from __future__ import annotations

from typing import Final

from tests.monitoring.series import (
    AGENTS,
    CLOCK,
    CLOCK_ENDS,
    CLOCK_STOPS,
    CONTROLLER,
    always,
    ends,
    grows,
    healthy,
    key,
    then,
)

from .model import IN, Fault, Firing

GW: Final = AGENTS[0]
LOOP: Final = "isthmus_last_iteration_timestamp_seconds"
COMPLETE: Final = "isthmus_last_complete_iteration_timestamp_seconds"


def _gone(instance: str) -> dict[str, str]:
    """The process is not scraped any more."""
    mine = {series: values for series, values in healthy().items() if f'instance="{instance}"' in series}
    return {series: CLOCK_ENDS if values == CLOCK else ends(1) for series, values in mine.items()}


FAULTS: Final = (
    Fault(
        "controller-gone",
        _gone(CONTROLLER),
        4,
        6,
        (
            Firing(
                "IsthmusControllerAbsent",
                "No controller runs, or its metrics cannot be read. What is stretched keeps working; nothing is "
                "stretched, moved to another gateway node or withdrawn.",
            ),
        ),
    ),
    Fault(
        "no-controller-is-active",
        {
            key("isthmus_last_reconcile_timestamp_seconds", CONTROLLER, loop="controller"): CLOCK_STOPS,
            key("isthmus_queue_length", CONTROLLER): then(0, 500),
        },
        14,
        16,
        (
            Firing(
                "IsthmusControllerNotReconciling",
                "Controllers run, and none is active: perhaps none can take the Lease isthmus-controller. What is "
                "stretched keeps working; nothing is stretched, moved to another gateway node or withdrawn.",
            ),
        ),
    ),
    Fault(
        "loop-hangs",
        {key(LOOP, CONTROLLER, loop="worker-0"): CLOCK_STOPS},
        6,
        8,
        (
            Firing(
                "IsthmusLoopStalled",
                "Loop worker-0 of controller has ended no iteration for 8m 0s.",
                IN | {"instance": CONTROLLER, "loop": "worker-0"},
            ),
        ),
    ),
    Fault(
        "openstack-unavailable",
        {key(COMPLETE, CONTROLLER, loop="openstack"): CLOCK_STOPS},
        9,
        11,
        (
            Firing(
                "IsthmusOpenStackUnavailable",
                "Keystone or Neutron of this cloud does not answer controller, or refuses its credential. What is "
                "stretched keeps working; nothing is stretched, moved to another gateway node or withdrawn.",
                IN | {"instance": CONTROLLER, "loop": "openstack"},
            ),
        ),
    ),
    Fault(
        "openstack-unavailable-since-the-controller-started",
        {
            key(COMPLETE, CONTROLLER, loop="openstack"): "_",
            key(LOOP, CONTROLLER, loop="openstack"): f"_x119 {CLOCK_STOPS.split()[1].replace('+0x', '+30x')}",
        },
        4,
        6,
        (
            Firing(
                "IsthmusOpenStackUnavailable",
                "Keystone or Neutron of this cloud does not answer controller, or refuses its credential. What is "
                "stretched keeps working; nothing is stretched, moved to another gateway node or withdrawn.",
                IN | {"instance": CONTROLLER, "loop": "openstack"},
            ),
        ),
    ),
    Fault(
        "kubernetes-api-unavailable",
        {
            key(COMPLETE, CONTROLLER, loop="periodic"): CLOCK_STOPS,
            **{key(COMPLETE, agent, loop="intents"): CLOCK_STOPS for agent in AGENTS},
        },
        9,
        11,
        tuple(
            Firing(
                "IsthmusKubernetesUnavailable",
                f"{instance} cannot read its inputs from the API server of this cloud. It continues with what it read "
                "last.",
                IN | {"instance": instance, "loop": loop},
            )
            for instance, loop in ((CONTROLLER, "periodic"), *((agent, "intents") for agent in AGENTS))
        ),
    ),
    Fault(
        "open-vswitch-does-not-answer",
        {key(COMPLETE, GW, loop="node"): CLOCK_STOPS},
        9,
        11,
        (
            Firing(
                "IsthmusNodeNotObserved",
                "Open vSwitch or the kernel does not answer the agent gw-a1. What the node forwards stays as it is; "
                "nothing is repaired.",
                IN | {"instance": GW, "loop": "node"},
            ),
        ),
    ),
    Fault(
        "reconciliations-fail",
        {
            key("isthmus_reconcile_errors_total", CONTROLLER, loop="controller", reason="Conflict"): grows(0, 1),
        },
        29,
        32,
        (
            Firing(
                "IsthmusReconcileErrors",
                "Reconciliations of the loop controller have failed for half an hour, the last ones with reason "
                "Conflict.",
                {"loop": "controller", "reason": "Conflict"},
            ),
        ),
    ),
    Fault(
        "queue-grows",
        {key("isthmus_queue_length", CONTROLLER): then(0, 101)},
        14,
        16,
        (
            Firing(
                "IsthmusQueueLong",
                "101 peers and networks wait for the controller controller.",
                IN | {"instance": CONTROLLER},
            ),
        ),
    ),
    Fault(
        "agent-gone",
        _gone(AGENTS[1]),
        9,
        11,
        (
            Firing(
                "IsthmusAgentAbsent",
                "1 agents do not run, or their metrics cannot be read. What their nodes forward stays as it is.",
            ),
        ),
    ),
    Fault(
        "upgrade-not-ended",
        {
            key("isthmus_build_info", GW, version="0.1.0", protocol_versions="1,2"): ends(1),
            key("isthmus_build_info", GW, version="0.2.0", protocol_versions="1,2"): f"_x120 {always(1)}",
        },
        59,
        62,
        (
            Firing(
                "IsthmusVersionsDiffer",
                "2 releases of Isthmus have run side by side for an hour: an upgrade has not ended.",
            ),
        ),
    ),
    Fault(
        "objects-of-a-newer-release",
        {key("isthmus_objects_not_understood", CONTROLLER, kind="CloudPeer"): then(0, 1)},
        14,
        16,
        (
            Firing(
                "IsthmusObjectsNotUnderstood",
                "1 objects of kind CloudPeer are left alone with all that belongs to them.",
                {"kind": "CloudPeer"},
            ),
        ),
    ),
)
