"""Numbered broadcasts of one machine, and those that it receives: `numbered.py INTERFACE ADDRESS BROADCAST SECONDS`.

Sends one UDP datagram every SECONDS to the subnet's broadcast address. Prints `sent NUMBER` for each, and
`seen SOURCE NUMBER` for each that arrives on the interface, including its own if they come back. They are long, so that
their length tells them from BFD once they are encrypted.
"""

import socket
import struct
import sys
import time

_PORT = 5005
_PADDING = bytes(600)
_ETH_P_IP = 0x0800
_IPPROTO_UDP = 17
_PACKET_OUTGOING = 4


def parse(packet: bytes) -> str | None:
    """Source and number; None if it is no numbered broadcast."""
    header = 4 * (packet[0] & 0x0F)
    if packet[9] != _IPPROTO_UDP or len(packet) < header + 16:
        return None
    if struct.unpack("!H", packet[header + 2 : header + 4])[0] != _PORT:
        return None
    (number,) = struct.unpack("!Q", packet[header + 8 : header + 16])
    return f"{socket.inet_ntoa(packet[12:16])} {number}"


def receive(tap: socket.socket, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        tap.settimeout(left)
        try:
            packet, where = tap.recvfrom(256)
        except TimeoutError:
            return
        if where[2] != _PACKET_OUTGOING and (found := parse(packet)):
            print("seen", found, flush=True)


def main(interface: str, address: str, broadcast: str, interval_seconds: float) -> None:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    tap.bind((interface, _ETH_P_IP))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.bind((address, _PORT))
    number = 0
    while True:
        number += 1
        sender.sendto(struct.pack("!Q", number) + _PADDING, (broadcast, _PORT))
        print("sent", number, flush=True)
        receive(tap, interval_seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
