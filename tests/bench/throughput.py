"""TCP through the stretched network over ESP from host to host: the same kernel, the same cipher, in turns."""

import json
import secrets
from statistics import median

from tests.bench.result import Result, at_least, reported
from tests.lab.federation import Federation
from tests.lab.node import Node, Place
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch

ROUNDS = 7
SECONDS = 3
SEGMENT = 1364
HOST_PORT, MACHINE_PORT = 5301, 5302
_HOST_PART = 12
BITS_AIM = 0.90  # 0.95 on a kernel of its own; User Mode Linux has one processor


def measure(federation: Federation, stretch: Stretch) -> list[Result]:
    """Interleaved rounds of both; the median of their ratios."""
    a, b = federation.a.cloud.gateway, federation.b.cloud.gateway
    # Addresses of their own: what is between the tunnels' and unknown to charon, the agent takes for stale.
    local, remote = str(a.site.wan[_HOST_PART]), str(b.site.wan[_HOST_PART])
    machine = stretch.remotes[0]
    _protect(a, b, local, remote)
    try:
        _serve(b, HOST_PORT, remote)
        _serve(machine.place, MACHINE_PORT, str(machine.address))
        ratios = []
        for _ in range(ROUNDS):
            through = _bits_per_second(stretch.local.place, str(machine.address), MACHINE_PORT)
            beside = _bits_per_second(a, remote, HOST_PORT, "--bind", local)
            ratios.append(through / beside)
    finally:
        for place, port in ((b, HOST_PORT), (machine.place, MACHINE_PORT)):
            place.kill(f"iperf3-{port}")
        _unprotect(a, b)
    return [
        at_least("throughput, stretched / ESP host to host, median", median(ratios), "ratio", BITS_AIM),
        reported("throughput, lowest ratio of 7 rounds", min(ratios), "ratio"),
        reported("throughput, highest ratio of 7 rounds", max(ratios), "ratio"),
    ]


def _serve(place: Place, port: int, address: str) -> None:
    place.spawn(["iperf3", "--server", "--bind", address, "--port", str(port)], f"iperf3-{port}")
    wait_until(
        lambda: f":{port}" in place.run(["ss", "-Hltn"]).stdout,
        20,
        f"iperf3 on port {port}",
    )


def _bits_per_second(place: Place, address: str, port: int, *more: str) -> float:
    argv = [
        "iperf3",
        "--client",
        address,
        "--port",
        str(port),
        "-M",
        str(SEGMENT),
        "--time",
        str(SECONDS),
        "--json",
        *more,
    ]
    result = json.loads(place.run(argv, timeout_seconds=SECONDS + 60).stdout)
    return float(result["end"]["sum_received"]["bits_per_second"])


def _protect(a: Node, b: Node, local: str, remote: str) -> None:
    """Static ESP transport for iperf3's TCP between the hosts, AES-256-GCM as the tunnel has it."""
    keys = {(local, remote): secrets.token_hex(36), (remote, local): secrets.token_hex(36)}
    states = "".join(
        f"xfrm state add src {src} dst {dst} proto esp spi {0xE0000 + number:#x} reqid {HOST_PORT} mode transport "
        f"aead rfc4106(gcm(aes)) 0x{key} 128\n"
        for number, ((src, dst), key) in enumerate(keys.items())
    )
    for node, mine, theirs in ((a, local, remote), (b, remote, local)):
        policies = "".join(
            f"xfrm policy add src {src}/32 dst {dst}/32 proto tcp {selector} {HOST_PORT} dir {direction} "
            f"tmpl src {src} dst {dst} proto esp reqid {HOST_PORT} mode transport\n"
            for src, dst, direction in ((mine, theirs, "out"), (theirs, mine, "in"))
            for selector in ("dport", "sport")
        )
        address = f"address replace {mine}/24 dev wan0\n"
        node.run(["ip", "-batch", "-"], input=address + states + policies)


def _unprotect(a: Node, b: Node) -> None:
    delete = (
        f"ip xfrm state deleteall reqid {HOST_PORT}; ip -o xfrm policy | grep -E '[sd]port {HOST_PORT}' | "
        "sed -E 's/ dir (in|out).*/ dir \\1/' | while read line; do ip xfrm policy delete $line; done"
    )
    for node in (a, b):
        node.run(f"ip address del {node.site.wan[_HOST_PART]}/24 dev wan0; {delete}")
