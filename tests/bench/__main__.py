"""`make bench`: print a table of results and write them to build/bench.json.

`python -m tests.bench startup` measures the start-up of controller and agent only, without a lab;
`python -m tests.bench agent` an agent with many networks and links, with neither lab nor API;
`python -m tests.bench controller` a controller with up to 10,000 networks, on fakes;
`python -m tests.bench flows` what the flows of one more network cost on a real Open vSwitch;
`python -m tests.bench iteration` what a whole iteration of an agent does there;
`python -m tests.bench ports` what one port more costs in a network with 10,000 of them, on fakes and there;
`python -m tests.bench broadcasts` how many copies of a broadcast each topology sends, counted on flows;
`python -m tests.bench tunnels` TCP and UDP of stretched networks beside other paths, in a guest instead of a lab;
`python -m tests.bench overheads` what tunnels of all kinds add to packets, there as well;
`python -m tests.bench relayed` two receivers that reach each other directly, and through the origin, there as well;
`python -m tests.bench pods` images, containers on kubelets, and a newcomer's path, in a lab of its own;
`python -m tests.bench plugin` what `kubectl isthmus status` and `diagnose` cost beside kubectl, and take with it.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import (
    agent,
    broadcasts,
    controller,
    expansion,
    flowsets,
    idle,
    iteration,
    links,
    memory,
    plugin,
    pluginapi,
    pods,
    ports,
    requests,
    startup,
    throughput,
)
from tests.bench.result import Result, table, write
from tests.bench.tunnels import figures
from tests.testbed.assets import Assets, ensure
from tests.testbed.host.process import ended_in_order
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab
from tests.testbed.workload.tenant import Stretch, Tenant

_BUILD = Path("build")
_ALONE: dict[str, Callable[[], list[Result]]] = {
    "startup": lambda: startup.measure(ensure("kubernetes", "packages", "processes")),
    "agent": lambda: [*agent.measure(), *links.measure()],
    "controller": lambda: [*controller.measure(), *requests.measure()],
    "flows": flowsets.measure,
    "iteration": iteration.measure,
    "ports": ports.measure,
    "broadcasts": broadcasts.measure,
    "tunnels": figures.measure_throughput,
    "overheads": figures.measure_overheads,
    "relayed": figures.measure_relayed,
    "pods": pods.measure,
    "plugin": lambda: [*plugin.measure(), *pluginapi.measure()],
}


def main() -> int:
    """Measure; a missed target is reported but is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", *_ALONE), default="all")
    what = parser.parse_args().what
    if what in _ALONE:
        with ended_in_order():
            results, path = _ALONE[what](), _BUILD / f"bench-{what}.json"
    else:
        results, path = _everything(), _BUILD / "bench.json"
    print(table(results))
    write(results, path)
    return 0


def _everything() -> list[Result]:
    assets = ensure()
    with ended_in_order(), ExitStack() as undo:
        results = [*startup.measure(assets), *agent.measure(), *links.measure()]
        results += [*controller.measure(), *requests.measure(), *flowsets.measure(), *iteration.measure()]
        results += [*ports.measure(), *broadcasts.measure()]
        results += [*plugin.measure(), *pluginapi.measure(), *_in_pods()]
        results += [*figures.measure_throughput(), *figures.measure_overheads(), *figures.measure_relayed()]
        lab = Lab.up(assets=assets)
        undo.callback(lab.down)
        federation = Federation(lab, assets)
        federation.install()
        federation.introduce()
        return [*expansion.measure(federation), *_while_stretched(federation, assets), *results]


def _in_pods() -> list[Result]:
    """In a process of its own: one can enter one lab."""
    subprocess.run([sys.executable, "-m", "tests.bench", "pods"], check=True)
    return [Result(**each) for each in json.loads((_BUILD / "bench-pods.json").read_text())]


def _while_stretched(federation: Federation, assets: Assets) -> list[Result]:
    with ExitStack() as undo:
        tenant = Tenant.create(federation.a.cloud, "bulk", "10.62.0.0/24")
        undo.callback(tenant.delete)
        local = tenant.boot("bulk-a")
        undo.callback(local.delete)
        undo.enter_context(federation.stretched("bulk", "bulk", tenant.project.id, tenant.network_id))
        stretch = Stretch.of(federation, tenant, local)
        undo.callback(stretch.remove_remotes)
        stretch.boot_remote("bulk-b")
        stretch.admit()
        stretch.wait_for_ping()
        return [
            *idle.measure(federation),
            memory.measure(federation),
            *throughput.measure(federation, stretch, assets),
        ]


if __name__ == "__main__":
    sys.exit(main())
