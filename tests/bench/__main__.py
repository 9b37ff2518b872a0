"""`make bench`: print a table of results and write them to build/bench.json.

`python -m tests.bench startup` measures the start-up of controller and agent only, without a lab;
`python -m tests.bench agent` an agent with many networks and links, with neither lab nor API.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench import agent, expansion, idle, links, memory, startup, throughput
from tests.bench.result import Result, table, write
from tests.testbed.assets import Assets, ensure
from tests.testbed.host.process import ended_in_order
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab
from tests.testbed.workload.tenant import Stretch, Tenant

_BUILD = Path("build")


def main() -> int:
    """Measure; a missed target is reported but is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "startup", "agent"), default="all")
    what = parser.parse_args().what
    if what == "startup":
        with ended_in_order():
            results = startup.measure(ensure("kubernetes", "packages", "processes"))
        path = _BUILD / "bench-startup.json"
    elif what == "agent":
        results, path = [*agent.measure(), *links.measure()], _BUILD / "bench-agent.json"
    else:
        results, path = _everything(), _BUILD / "bench.json"
    print(table(results))
    write(results, path)
    return 0


def _everything() -> list[Result]:
    assets = ensure()
    with ended_in_order(), ExitStack() as undo:
        results = [*startup.measure(assets), *agent.measure(), *links.measure()]
        lab = Lab.up(assets=assets)
        undo.callback(lab.down)
        federation = Federation(lab, assets)
        federation.install()
        federation.introduce()
        return [*expansion.measure(federation), *_while_stretched(federation, assets), *results]


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
