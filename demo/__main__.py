"""`make demo`: two OpenStack clouds, one stretched network, and its undoing."""

import argparse
import sys

from demo.narrator import Narrator
from demo.story import install, tell
from tests.testbed import state
from tests.testbed.assets import ensure
from tests.testbed.host.process import ended_in_order
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab


def main() -> int:
    """Bring the lab up, tell the story, tear the lab down."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stop while the network is stretched; leave all running")
    arguments = parser.parse_args()
    narrator = Narrator()
    narrator.chapter("Two clouds on one machine")
    narrator.say(
        """Cloud A is the newest OpenStack with ML2/OVN, cloud B is OpenStack 2024.1 with ML2/OVS. Each has its own
        Keystone, Neutron and Kubernetes API, and one gateway node with Open vSwitch and strongSwan. Between them lies a
        routed WAN with an MTU of 1500. They share a MariaDB process, and nothing else. A machine is a network namespace
        on a Neutron port, plugged the way os-vif does: no Nova and no hypervisor runs."""
    )
    assets = ensure()
    with ended_in_order():
        lab = Lab.up(assets=assets)
        try:
            federation = Federation(lab, assets)
            install(federation, narrator)
            tell(federation, narrator, keep=arguments.keep)
        except BaseException:
            print(f"logs are kept in {state.keep_logs(lab.name)}")
            lab.down()
            raise
        if not arguments.keep:
            lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
