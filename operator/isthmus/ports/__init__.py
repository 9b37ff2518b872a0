"""The external systems as controller and agent see them: one protocol for each, one module for each kind of system.

The key words MUST, MUST NOT, SHOULD and MAY are those of RFC 2119. Adapters implement the protocols; the test classes
in tests/contract state the same as code, and hold the fakes of the unit tests and the real systems to it.

For every method of every port:

- It raises subclasses of `model.errors.ExternalError` and no others. `Unavailable` means that nothing is known and
  nothing may be concluded: callers keep what exists.
- It MUST return or raise within a bounded time, for both loops are single threads.
- What it lists MUST be complete, or it MUST raise: planning takes what is missing from a list for deleted.
- An effect (see `is_effect`) MUST be safe to repeat: a process may be killed after any of them, and the next one does
  not know. Calls that cannot be idempotent (`NetworkCloud.create_*`) leave a marker by which the resource is found.
- No error text and no log line may contain a credential or a key.
"""

from .clock import Clock
from .effects import is_effect
from .firewall import Firewall
from .host import DataplaneProbe, GatewayPing, InnerNetwork, KernelMonitor, Netlink, TunnelDevices
from .ipsec import Ike, Xfrm
from .kubernetes import Cluster, Manifest, ObjectWatch, Observer, T, Watch
from .leases import Leases
from .node import IntentSource, ReportSink
from .openstack import NetworkCloud
from .openvswitch import OpenFlow, Ovsdb
from .peers import PeerReader

__all__ = [
    "Clock",
    "Cluster",
    "DataplaneProbe",
    "Firewall",
    "GatewayPing",
    "Ike",
    "InnerNetwork",
    "IntentSource",
    "KernelMonitor",
    "Leases",
    "Manifest",
    "Netlink",
    "NetworkCloud",
    "ObjectWatch",
    "Observer",
    "OpenFlow",
    "Ovsdb",
    "PeerReader",
    "ReportSink",
    "T",
    "TunnelDevices",
    "Watch",
    "Xfrm",
    "is_effect",
]
