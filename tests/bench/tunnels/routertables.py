"""The iptables of a router as Neutron's L3 agent (2026.1) and its VPNaaS make them, for IPv4.

Chains without rules are left out with what leads to them, unless every packet passes them.
"""

from __future__ import annotations

from typing import Final

_TABLES: Final = """\
*raw
:l3-PREROUTING - [0:0]
:l3-OUTPUT - [0:0]
-A PREROUTING -j l3-PREROUTING
-A OUTPUT -j l3-OUTPUT
COMMIT
*mangle
:l3-PREROUTING - [0:0]
:l3-INPUT - [0:0]
:l3-FORWARD - [0:0]
:l3-OUTPUT - [0:0]
:l3-POSTROUTING - [0:0]
:l3-mark - [0:0]
:l3-scope - [0:0]
:l3-floatingip - [0:0]
-A PREROUTING -j l3-PREROUTING
-A INPUT -j l3-INPUT
-A FORWARD -j l3-FORWARD
-A OUTPUT -j l3-OUTPUT
-A POSTROUTING -j l3-POSTROUTING
-A l3-PREROUTING -j l3-mark
-A l3-PREROUTING -j l3-scope
-A l3-PREROUTING -m connmark ! --mark 0x0/0xffff0000 -j CONNMARK --restore-mark --nfmask 0xffff0000 --ctmask 0xffff0000
-A l3-PREROUTING -j l3-floatingip
-A l3-PREROUTING -d 169.254.169.254/32 -i qr-+ -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffff
-A l3-POSTROUTING -o {external} -m connmark --mark 0x0/0xffff0000 \
-j CONNMARK --save-mark --nfmask 0xffff0000 --ctmask 0xffff0000
-A l3-mark -i {external} -j MARK --set-xmark 0x2/0xffff
-A l3-scope -i {internal} -j MARK --set-xmark 0x4000000/0xffff0000
-A l3-scope -i {external} -j MARK --set-xmark 0x4000000/0xffff0000
COMMIT
*nat
:l3-POSTROUTING - [0:0]
:l3-snat - [0:0]
:vpnaas-POSTROUTING - [0:0]
-A POSTROUTING -j vpnaas-POSTROUTING
-A POSTROUTING -j l3-POSTROUTING
-A POSTROUTING -j l3-snat
-A vpnaas-POSTROUTING -s {network} -d {other} -m policy --dir out --pol ipsec -j ACCEPT
-A l3-POSTROUTING ! -o {external} -m conntrack ! --ctstate DNAT -j ACCEPT
-A l3-snat -o {external} -j MASQUERADE
COMMIT
*filter
:filter-top - [0:0]
:l3-local - [0:0]
:l3-INPUT - [0:0]
:l3-FORWARD - [0:0]
:l3-OUTPUT - [0:0]
:l3-scope - [0:0]
-A INPUT -j l3-INPUT
-A FORWARD -j filter-top
-A FORWARD -j l3-FORWARD
-A OUTPUT -j filter-top
-A OUTPUT -j l3-OUTPUT
-A filter-top -j l3-local
-A l3-INPUT -m mark --mark 0x1/0xffff -j ACCEPT
-A l3-INPUT -p tcp -m tcp --dport 9697 -j DROP
-A l3-FORWARD -j l3-scope
-A l3-scope -o {internal} -m mark ! --mark 0x4000000/0xffff0000 -j DROP
COMMIT
"""


def tables(*, internal: str, external: str, network: str, other: str) -> str:
    """For iptables-restore: a router between two interfaces, and the networks at both ends of its VPN."""
    return _TABLES.format(internal=internal, external=external, network=network, other=other)
