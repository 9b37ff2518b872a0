"""A newcomer's path from two prepared clouds to the first ping between them, by the README's commands alone.

Cloud A is installed in pods. Cloud B has Isthmus already, natively, as the other company may have; its administrator
types what the README says of cloud B. Prepared are the images, in the containerd of the nodes instead of a registry,
and what the README assumes: clouds.yaml, a namespace, a project with a network and a machine.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

import yaml

from tests.bench.administrator import Administrator
from tests.bench.result import Result, at_most, reported
from tests.pods.federation import PodFederation
from tests.pods.installation import NAMESPACES
from tests.readme import PATH_TO_THE_FIRST_PING, Command, commands, example
from tests.testbed.workload.tenant import Stretch, Tenant

MAXIMUM_COMMANDS: Final = 12
MAXIMUM_SECONDS: Final = 300
REGISTRY: Final = "registry.example.org/isthmus"
_CIDR: Final = "10.70.0.0/24"
# Neither a registry nor a build is part of the machine's time.
_PREPARED: Final = "make images "


class Newcomer:
    """Both administrators, and the network of a tenant of A."""

    def __init__(self, clouds: PodFederation, directory: Path) -> None:
        self._clouds = clouds
        self._administrators: dict[str, Administrator] = {
            side.cloud.name: Administrator.at(side.cloud, directory / side.cloud.name, clouds.assets)
            for side in clouds.both
        }
        self._environment: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        """Of each section of the README, and of what follows until the first reply."""

    def prepare(self) -> None:
        """Install cloud B, and put images and files where the commands expect them."""
        clouds = self._clouds
        for component in NAMESPACES:
            image = f"isthmus-{component}:{clouds.in_pods.version}"
            clouds.in_pods.worker(component).tag(f"localhost/{image}", f"{REGISTRY}/{image}")
        clouds.b.install()
        clouds.b.start()
        clouds.b.wait_until_ready()
        newcomer = self._administrators["a"]
        newcomer.write("clouds.yaml", clouds.a.cloud.clouds_yaml())
        newcomer.write("lab.yaml", yaml.safe_dump(_of_the_lab(clouds)))

    def walk(self) -> None:
        """Walk the path, and leave everything as it then is: the machines reach each other."""
        clouds = self._clouds
        tenant = Tenant.create(clouds.a.cloud, "shop", _CIDR)
        local = tenant.boot("shop-a")
        clouds.a.cloud.kubectl("create", "namespace", "shop")
        self._administrators["a"].write("web.yaml", _expansion(tenant.network_id))
        self._environment = {"PROJECT": tenant.project.id}
        for heading in PATH_TO_THE_FIRST_PING:
            began = time.monotonic()
            for command in commands(heading):
                self._type(command)
            self.seconds[heading] = time.monotonic() - began
        began = time.monotonic()
        _first_reply(Stretch.of(clouds, tenant, local))
        self.seconds["a machine in B, and its first reply"] = time.monotonic() - began

    def _type(self, command: Command) -> None:
        ours = self._administrators[command.prompt or "a"]
        if command.line.startswith(_PREPARED):
            return
        # This lab has no network for pods on its gateway node, and no kube-proxy.
        lacks = " --values lab.yaml" if command.line.startswith("helm install ") else ""
        began = time.monotonic()
        ours.type(command.line + lacks, **self._environment)
        print(f"{time.monotonic() - began:6.1f} s  {command.line[:100]}", flush=True)
        other = self._administrators["b" if ours.cloud.name == "a" else "a"]
        if re.match(r"kubectl isthmus (invite|join) ", command.line):
            ours.send(other, f"{ours.cloud.cloud_id}.for.{other.cloud.cloud_id}.isthmus")


def results(walked: Newcomer) -> list[Result]:
    """Commands and times of the path."""
    count = len([command for heading in PATH_TO_THE_FIRST_PING for command in commands(heading)])
    parts = [reported(f"of these: {part}", seconds, "s") for part, seconds in walked.seconds.items()]
    total = sum(walked.seconds.values())
    return [
        at_most("newcomer: commands of the README to the first ping", count, "commands", MAXIMUM_COMMANDS),
        at_most("newcomer: time to the first ping, images built before", total, "s", MAXIMUM_SECONDS),
        *parts,
    ]


def _first_reply(stretch: Stretch) -> None:
    """B's administrator gives a user access to the replica, who boots a machine on it; both tenants allow the CIDR."""
    stretch.boot_remote("shop-b")
    stretch.admit()
    stretch.wait_for_ping()


def _expansion(network_id: str) -> str:
    """The README's object for another network."""
    document = yaml.safe_load(example("In one minute"))
    document["spec"]["networkID"] = network_id
    return yaml.safe_dump(document)


def _of_the_lab(clouds: PodFederation) -> dict[str, object]:
    """Values that this lab needs besides the README's."""
    return {key: clouds.in_pods.release.values[key] for key in ("apiServer", "controller")}
