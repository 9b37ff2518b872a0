"""Alerts about the controller and the agents as processes."""

from __future__ import annotations

from typing import Final

from charts.monitoring.alert import Alert


def _not_completed(loops: str) -> str:
    """Also if a loop that runs has never completed its work, in which case the time of the last completion is absent.

    `loops` is a regular expression.
    """
    complete = f'isthmus_last_complete_iteration_timestamp_seconds{{loop=~"{loops}"}}'
    ended = f'isthmus_last_iteration_timestamp_seconds{{loop=~"{loops}"}}'
    return f"time() - ({complete} or 0 * {ended}) > $loop_seconds"


ALERTS: Final = (
    Alert(
        name="IsthmusControllerAbsent",
        expr="absent(isthmus_queue_length)",
        pending_minutes=5,
        severity="critical",
        summary="Prometheus scrapes no controller of Isthmus.",
        description="No controller runs, or its metrics cannot be read. What is stretched keeps working; nothing is "
        "stretched, moved to another gateway node or withdrawn.",
    ),
    Alert(
        name="IsthmusControllerNotReconciling",
        expr="time() - (max(isthmus_last_reconcile_timestamp_seconds) or vector(0)) > $reconcile_seconds\n"
        "and on () max(isthmus_peers) > 0",
        pending_minutes=5,
        severity="critical",
        summary="No controller of Isthmus reconciles anything.",
        description="Controllers run, and none is active: perhaps none can take the Lease isthmus-controller. What is "
        "stretched keeps working; nothing is stretched, moved to another gateway node or withdrawn.",
    ),
    Alert(
        name="IsthmusLoopStalled",
        expr="time() - isthmus_last_iteration_timestamp_seconds > $loop_seconds",
        pending_minutes=2,
        severity="warning",
        summary="A loop of a process of Isthmus makes no progress.",
        description="Loop {{ $labels.loop }} of {{ $labels.instance }} has ended no iteration for "
        "{{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="IsthmusOpenStackUnavailable",
        expr=_not_completed("openstack"),
        pending_minutes=5,
        severity="critical",
        summary="The controller of Isthmus cannot use OpenStack.",
        description="Keystone or Neutron of this cloud does not answer {{ $labels.instance }}, or refuses its "
        "credential. What is stretched keeps working; nothing is stretched, moved to another gateway node or "
        "withdrawn.",
    ),
    Alert(
        name="IsthmusKubernetesUnavailable",
        expr=_not_completed("periodic|intents"),
        pending_minutes=5,
        severity="warning",
        summary="A process of Isthmus cannot read the Kubernetes API.",
        description="{{ $labels.instance }} cannot read its inputs from the API server of this cloud. It continues "
        "with what it read last.",
    ),
    Alert(
        name="IsthmusNodeNotObserved",
        expr=_not_completed("node"),
        pending_minutes=5,
        severity="warning",
        summary="An agent of Isthmus cannot observe or configure its gateway node.",
        description="Open vSwitch or the kernel does not answer the agent {{ $labels.instance }}. What the node "
        "forwards stays as it is; nothing is repaired.",
    ),
    Alert(
        name="IsthmusReconcileErrors",
        expr="sum by (loop, reason) (rate(isthmus_reconcile_errors_total[15m])) > 0",
        pending_minutes=30,
        severity="warning",
        summary="Reconciliations of Isthmus keep failing.",
        description="Reconciliations of the loop {{ $labels.loop }} have failed for half an hour, the last ones with "
        "reason {{ $labels.reason }}.",
    ),
    Alert(
        name="IsthmusQueueLong",
        expr="isthmus_queue_length > $queue_length\nand on (instance, job)"
        " time() - isthmus_last_reconcile_timestamp_seconds < $reconcile_seconds",
        pending_minutes=15,
        severity="warning",
        summary="The controller of Isthmus is behind with its work.",
        description="{{ $value }} peers and networks wait for the controller {{ $labels.instance }}.",
    ),
    Alert(
        name="IsthmusAgentAbsent",
        expr="count(max by (gateway) (isthmus_gateway_ready))\n"
        '- (count(isthmus_last_iteration_timestamp_seconds{loop="node"}) or vector(0)) > 0',
        pending_minutes=10,
        severity="warning",
        summary="Prometheus scrapes fewer agents of Isthmus than there are gateway nodes.",
        description="{{ $value }} agents do not run, or their metrics cannot be read. What their nodes forward stays "
        "as it is.",
    ),
    Alert(
        name="IsthmusVersionsDiffer",
        expr="count(count by (version) (isthmus_build_info)) > 1",
        pending_minutes=60,
        severity="warning",
        summary="Processes of Isthmus run different releases.",
        description="{{ $value }} releases of Isthmus have run side by side for an hour: an upgrade has not ended.",
    ),
    Alert(
        name="IsthmusObjectsNotUnderstood",
        expr="max by (kind) (isthmus_objects_not_understood) > 0",
        pending_minutes=15,
        severity="warning",
        summary="Stored objects are not understood by this release of Isthmus.",
        description="{{ $value }} objects of kind {{ $labels.kind }} are left alone with all that belongs to them.",
    ),
)
