"""`make bench`: print a table and write build/bench.json."""

import sys
from pathlib import Path

from tests.bench import agentstart, expansion, idle, throughput
from tests.bench.result import Result, table, write
from tests.lab.assets import ensure
from tests.lab.federation import Federation
from tests.lab.lab import Lab
from tests.lab.tenant import Stretch, Tenant


def main() -> int:
    """Bring a lab up, measure, tear it down; fails only where something could not be measured."""
    assets = ensure()
    lab = Lab.up(assets=assets)
    try:
        federation = Federation(lab, assets)
        federation.install()
        federation.introduce()
        results = [*expansion.measure(federation), *_while_stretched(federation)]
        results += agentstart.measure(federation, assets)
    finally:
        lab.down()
    print(table(results))
    write(results, Path("build/bench.json"))
    return 0


def _while_stretched(federation: Federation) -> list[Result]:
    tenant = Tenant.create(federation.a.cloud, "bulk", "10.62.0.0/24")
    local = tenant.boot("bulk-a")
    with federation.stretched("bulk", "bulk", tenant.project.id, tenant.network_id):
        stretch = Stretch.of(federation, tenant, local)
        stretch.boot_remote("bulk-b")
        stretch.admit()
        stretch.wait_for_ping()
        results = [*idle.measure(federation), *throughput.measure(federation, stretch)]
        stretch.remove_remotes()
    local.delete()
    tenant.delete()
    return results


if __name__ == "__main__":
    sys.exit(main())
