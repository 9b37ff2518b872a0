"""Controllers and agents as processes."""

from __future__ import annotations

from typing import Final

from charts.monitoring.dashboard import Dashboard, Panel, Query, Row, Unit, Variable

_OF: Final = '{instance=~"$instance"}'
_PER_LOOP: Final = "{{instance}}: {{loop}}"
_BUCKETS: Final = f"sum by (loop, le) (rate(isthmus_reconcile_duration_seconds_bucket{_OF}[$__rate_interval]))"


def _rate(metric: str, *labels: str) -> str:
    return f"sum by ({', '.join(labels)}) (rate({metric}{_OF}[$__rate_interval]))"


def _of_process(title: str, description: str, unit: Unit, expr: str) -> Panel:
    # Other processes have metrics of these names, too.
    ours = f"{expr} and on (instance, job) isthmus_build_info{_OF}"
    return Panel(title, description, unit, (Query(ours, "{{instance}}"),))


_PROGRESS: Final = Row(
    "Progress",
    (
        Panel(
            "Releases",
            "Release of each process, and the versions of the protocol that it speaks.",
            "short",
            (Query(f"isthmus_build_info{_OF}", "{{instance}} {{version}}"),),
            kind="table",
            alerts=("IsthmusVersionsDiffer", "IsthmusAgentAbsent", "IsthmusControllerAbsent"),
        ),
        Panel(
            "Time since the last iteration",
            "Of each loop, whether or not the iteration failed.",
            "s",
            (Query(f"time() - isthmus_last_iteration_timestamp_seconds{_OF}", _PER_LOOP),),
            alerts=("IsthmusLoopStalled",),
        ),
        Panel(
            "Time since the work was last completed",
            "Of the loops that readiness depends on: openstack, periodic (Kubernetes API), node (Open vSwitch, kernel) "
            "and intents (Kubernetes API).",
            "s",
            (Query(f"time() - isthmus_last_complete_iteration_timestamp_seconds{_OF}", _PER_LOOP),),
            alerts=("IsthmusOpenStackUnavailable", "IsthmusKubernetesUnavailable", "IsthmusNodeNotObserved"),
        ),
    ),
)
_WORK: Final = Row(
    "Work",
    (
        Panel(
            "Reconciliations per second",
            "By loop.",
            "ops",
            (Query(_rate("isthmus_reconciles_total", "instance", "loop"), _PER_LOOP),),
            alerts=("IsthmusControllerNotReconciling",),
        ),
        Panel(
            "Duration of reconciliations",
            "Median and 95th percentile, by loop.",
            "s",
            (
                Query(f"histogram_quantile(0.5, {_BUCKETS})", "{{loop}} median"),
                Query(f"histogram_quantile(0.95, {_BUCKETS})", "{{loop}} 95 %"),
            ),
        ),
        Panel(
            "Failed reconciliations per second",
            "By loop and reason; none if nothing has ever failed.",
            "ops",
            (
                Query(
                    _rate("isthmus_reconcile_errors_total", "instance", "loop", "reason"),
                    "{{instance}}: {{loop}} {{reason}}",
                    in_trouble=True,
                ),
            ),
            alerts=("IsthmusReconcileErrors",),
        ),
        Panel(
            "Waiting peers and networks",
            "Those that wait to be reconciled; a controller that is not active collects them.",
            "short",
            (Query(f"isthmus_queue_length{_OF}", "{{instance}}"),),
            alerts=("IsthmusQueueLong",),
        ),
        Panel(
            "Calls per second",
            "Calls to external systems.",
            "reqps",
            (Query(_rate("isthmus_api_calls_total", "instance", "backend"), "{{instance}}: {{backend}}"),),
        ),
        Panel(
            "Changes per second",
            "Those calls that changed something.",
            "reqps",
            (Query(_rate("isthmus_writes_total", "instance", "backend"), "{{instance}}: {{backend}}"),),
        ),
    ),
)
_RESOURCES: Final = Row(
    "Resources",
    (
        _of_process("Memory", "Resident memory.", "bytes", "process_resident_memory_bytes"),
        _of_process("CPU", "Cores in use.", "short", "rate(process_cpu_seconds_total[$__rate_interval])"),
        _of_process("Open files", "Open file descriptors.", "short", "process_open_fds"),
        Panel(
            "Objects that are not understood",
            "Stored objects by kind; what belongs to them is left alone.",
            "short",
            (Query("max by (kind) (isthmus_objects_not_understood)", "{{kind}}"),),
            alerts=("IsthmusObjectsNotUnderstood",),
        ),
    ),
)

PROCESSES: Final = Dashboard(
    uid="isthmus-processes",
    title="Isthmus / Processes",
    description="Controllers and agents: progress, work, resources.",
    variables=(Variable("instance", "Instance", "isthmus_build_info", "instance", has_all=True),),
    rows=(_PROGRESS, _WORK, _RESOURCES),
)
