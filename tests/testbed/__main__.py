"""Command line of the testbed: `python -m tests.testbed up`, `status`, `exec`, ..., `down`."""

import argparse
import os
import subprocess
import sys
import time

from tests.testbed import state
from tests.testbed.cloud import nodes
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import ended_in_order
from tests.testbed.lab import Lab, tear_down
from tests.testbed.topology import SECOND_SITES, SITES, THIRD_SITE

_NODES = [site.gateway for site in (*SITES.values(), THIRD_SITE, *SECOND_SITES.values())]
_PLACES = ("a", "b", "c", "wan", "tester")
_EPILOG = """\
exec takes a node (gw-a1, gw-b1, and any other that runs) or a network namespace of the lab: a, b or c (a cloud's
servers), wan (the router), tester.
If several labs are up, name one with --lab or ISTHMUS_LAB.
"""


def main() -> int:
    """Run one command; the exit status is that of the executed command, or 1 if there is no such lab."""
    arguments = _parser().parse_args()
    try:
        with ended_in_order():
            return int(arguments.run(arguments))
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.testbed",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--lab", help="the lab's name")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring a lab up and leave it running")
    up.add_argument("--pods", action="store_true", help="with kubelets in cloud a, instead of a charon")
    up.set_defaults(run=_up)
    commands.add_parser("status", help="show what is running").set_defaults(run=_status)
    commands.add_parser("down", help="remove the lab").set_defaults(run=_down)
    execute = commands.add_parser("exec", help="run a command on a node, in a machine or in a network namespace")
    execute.add_argument("where", choices=[*_NODES, *_PLACES])
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="[--machine NAME] COMMAND ...")
    execute.set_defaults(run=_exec)
    second = commands.add_parser("second", help="start a cloud's second gateway node, or remove it")
    second.add_argument("cloud", choices=["a", "b", "c"])
    second.add_argument("--remove", action="store_true")
    second.set_defaults(run=_second)
    third = commands.add_parser("third", help="start cloud c, or remove it")
    third.add_argument("--remove", action="store_true")
    third.set_defaults(run=_third)
    capture = commands.add_parser("capture", help="record both sides of the WAN and count frames by class")
    capture.add_argument("seconds", type=float, nargs="?", default=10.0)
    capture.set_defaults(run=_capture)
    for tool in ("kubectl", "openstack"):
        command = commands.add_parser(tool, help=f"{tool} as a cloud's administrator")
        command.add_argument("cloud", choices=["a", "b", "c"])
        command.add_argument("command", nargs=argparse.REMAINDER)
        command.set_defaults(run=_kubectl if tool == "kubectl" else _openstack)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    lab = Lab.up(arguments.lab, pods=arguments.pods, report=lambda line: print(line, flush=True))
    print(f"lab {lab.name} is up after {time.monotonic() - began:.0f} s")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    if not arguments.lab and not state.known():
        print("no lab is up")
        return 0
    lab = Lab.attach(arguments.lab)
    print(f"lab {lab.name}, files in {lab.directory}")
    for cloud in _running(lab):
        print(f"cloud {cloud.name}: {cloud.site.back_end}, OpenStack {cloud.site.release}, {cloud.site.auth_url}")
        for agent in cloud.openstack().network.agents():
            print(f"  {agent.agent_type} on {agent.host}: {'alive' if agent.is_alive else 'dead'}")
        for gateway in cloud.gateways:
            print(f"  charon on {gateway.name}: {'alive' if gateway.charon.alive() else 'dead'}")
            machines = gateway.run(["ip", "netns", "list"]).stdout.split("\n")
            names = [name.split()[0] for name in machines if name and not name.startswith("qdhcp-")]
            print(f"  machines on {gateway.name}: {', '.join(names) or 'none'}")
    return 0


def _second(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    lab, cloud = _cloud(arguments)
    (nodes.remove_second if arguments.remove else nodes.start_second)(lab.state, cloud)
    done = "gone" if arguments.remove else "up"
    print(f"{cloud.second_gateway.name} is {done} after {time.monotonic() - began:.0f} s")
    return 0


def _third(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    lab = Lab.attach(arguments.lab)
    if arguments.remove:
        lab.third.stop()
    else:
        lab.third.start(lambda line: print(line, flush=True))
    done = "gone" if arguments.remove else "up"
    print(f"cloud {THIRD_SITE.name} is {done} after {time.monotonic() - began:.0f} s")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    name = arguments.lab or state.only()
    tear_down(name)
    print(f"lab {name} is gone after {time.monotonic() - began:.0f} s")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.lab)
    if arguments.where in _PLACES:
        netns = f"{lab.name}-{arguments.where}"
        return subprocess.run(["ip", "netns", "exec", netns, *arguments.command]).returncode
    running = [gateway for cloud in _running(lab) for gateway in cloud.gateways]
    node = next((gateway for gateway in running if gateway.name == arguments.where), None)
    if node is None:
        how = "third" if arguments.where == THIRD_SITE.gateway else f"second {arguments.where[3]}"
        raise LookupError(f"{arguments.where} does not run; start it with: {how}")
    command, place = arguments.command, node.place(None)
    if command[:1] == ["--machine"]:
        command, place = command[2:], node.place(command[1])
    done = place.run(command, check=False, timeout_seconds=3600)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


def _capture(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.lab)
    with lab.wan.capture(*(cloud.gateway for cloud in _running(lab)[2:])) as capture:
        time.sleep(arguments.seconds)
    print(capture.summary().table())
    print(*capture.paths, sep="\n")
    return 0


def _kubectl(arguments: argparse.Namespace) -> int:
    lab, cloud = _cloud(arguments)
    kubeconfig = f"--kubeconfig={cloud.kube.kubeconfig}"
    return subprocess.run([lab.state.assets.kubectl, kubeconfig, *arguments.command]).returncode


def _openstack(arguments: argparse.Namespace) -> int:
    lab, cloud = _cloud(arguments)
    program = lab.state.assets.openstack_a / "bin" / "openstack"
    return subprocess.run([program, *arguments.command], env={**os.environ, **cloud.openrc()}).returncode


def _cloud(arguments: argparse.Namespace) -> tuple[Lab, Cloud]:
    lab = Lab.attach(arguments.lab)
    return lab, lab.c if arguments.cloud == "c" else {"a": lab.a, "b": lab.b}[arguments.cloud]


def _running(lab: Lab) -> tuple[Cloud, ...]:
    return (*lab.clouds, lab.c) if lab.third.running else lab.clouds


if __name__ == "__main__":
    sys.exit(main())
