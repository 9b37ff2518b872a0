"""`make demo`: bring up OpenStack clouds, stretch a network between them, and remove everything again."""

import argparse
import sys

from demo import hybrid, pair
from demo.steps import install
from demo.transcript import Transcript
from tests.testbed import state
from tests.testbed.assets import ensure
from tests.testbed.host.process import ended_in_order
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab


def main() -> int:
    """Bring a lab up, run the steps, tear the lab down."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stop while the network is stretched; leave all running")
    parser.add_argument("--topology", choices=["hybrid"], help="with a third cloud; otherwise there are two")
    arguments = parser.parse_args()
    transcript = Transcript()
    transcript.heading("Two clouds on one machine")
    transcript.text(
        """Cloud A runs the newest OpenStack with ML2/OVN, cloud B runs OpenStack 2024.1 with ML2/OVS. Each has its own
        Keystone, Neutron and Kubernetes API, and one gateway node with Open vSwitch and strongSwan. A routed WAN with
        an MTU of 1500 connects them. They share one MariaDB process and nothing else. Machines are network namespaces,
        plugged into Neutron ports as os-vif does it; there is no Nova and no hypervisor."""
    )
    assets = ensure()
    with ended_in_order():
        lab = Lab.up(assets=assets)
        try:
            federation = Federation(lab, assets)
            install(federation, transcript)
            if arguments.topology == "hybrid":
                hybrid.run(federation, hybrid.join(federation, transcript), transcript, keep=arguments.keep)
            else:
                pair.run(federation, transcript, keep=arguments.keep)
        except BaseException:
            print(f"logs are kept in {state.keep_logs(lab.name)}")
            lab.down()
            raise
        if not arguments.keep:
            lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
