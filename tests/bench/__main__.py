"""`make bench`: print a table and write build/bench.json."""

import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench import agentstart, expansion, idle, throughput
from tests.bench.result import Result, table, write
from tests.testbed.assets import Assets, ensure
from tests.testbed.host.process import ended_in_order
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab
from tests.testbed.workload.tenant import Stretch, Tenant


def main() -> int:
    """Bring a lab up, measure, tear it down; fails only where something could not be measured."""
    assets = ensure()
    with ended_in_order(), ExitStack() as undo:
        lab = Lab.up(assets=assets)
        undo.callback(lab.down)
        federation = Federation(lab, assets)
        federation.install()
        federation.introduce()
        results = [*expansion.measure(federation), *_while_stretched(federation, assets)]
        results += agentstart.measure(federation, assets)
    print(table(results))
    write(results, Path("build/bench.json"))
    return 0


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
            agentstart.memory(federation),
            *throughput.measure(federation, stretch, assets),
        ]


if __name__ == "__main__":
    sys.exit(main())
