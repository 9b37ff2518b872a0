"""Reasons about a gateway node and its tunnels."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, settled, terminal, transient
from .reason import Reason

_KEY = (Place.PEERS_CONFIGURED, Place.CONNECTION, Place.TUNNEL_UP, Place.READY)
_TUNNEL = (Place.CONNECTION, Place.TUNNEL_UP, Place.READY)
_NODE = (Place.READY, Place.DEGRADED)

EXPLANATIONS = {
    Reason.NO_TUNNEL_ADDRESS: administrator(
        "The node has no address in this cloud's gateway networks.",
        "Configure one, or correct `gateway_cidrs` in the settings. What is in place stays in place.",
        *_NODE,
    ),
    Reason.CHARON_UNAVAILABLE: transient(
        "charon does not answer on its vici socket. Existing SAs keep forwarding.",
        "If it lasts, look at the strongSwan service on the node, and at `vici_socket` in the settings.",
        *_NODE,
        Place.CONNECTION,
        Place.TUNNEL_UP,
    ),
    Reason.MISSING_CAPABILITY: administrator(
        "The agent lacks a capability of Linux, which the message names. Without `CAP_NET_RAW` it cannot send "
        "dataplane probes: nothing is known of its links then, and those that were up are not reported as down.",
        "Give the agent's process the capability: see [install.md](install.md).",
        Place.DEGRADED,
        Place.LINK,
        Place.READY,
    ),
    Reason.STATUS_TRUNCATED: administrator(
        "The node has more connections than the status of a GatewayNode can list. All of them are maintained.",
        "Look at the metric `isthmus_tunnel_up` for the others.",
        Place.DEGRADED,
    ),
    Reason.NFTABLES_UNSUPPORTED: administrator(
        "The node has no nft, or a kernel without nftables or one of its expressions. The XFRM block policies alone "
        "keep unprotected tunnel traffic off the wire.",
        "Install the package nftables, and a kernel with `NF_TABLES` and `NF_TABLES_INET`.",
        Place.FENCED,
    ),
    Reason.NFTABLES_FAILED: transient(
        "nft failed, so that the nftables table may not be as planned. The XFRM block policies are in force.",
        "If it lasts, run the command that the message names on the node.",
        Place.FENCED,
    ),
    Reason.NFTABLES_RULESET_DIFFERS: terminal(
        "nft lists another table than the agent has written, which it does not write again and again. The XFRM block "
        "policies are in force.",
        "Compare `nft list table inet isthmus` with docs/br-cloud.md, and report it with the version of nft.",
        Place.FENCED,
    ),
    Reason.KEY_NOT_FOUND: administrator(
        "The Secret with the pre-shared key does not exist, or lacks the key `psk`.",
        "Create it in namespace `isthmus-ipsec`; the message names it.",
        *_KEY,
    ),
    Reason.INVALID_KEY: administrator(
        "The pre-shared key is shorter than 32 characters, or contains spaces or characters that are not printable "
        "ASCII.",
        "Agree on a new key with the peer's administrator, and store it in the Secret that the message names.",
        *_KEY,
    ),
    Reason.ENCAPSULATION_NEEDS_IPV4: administrator(
        "The clouds agree on GRE in transport mode, which exists between IPv4 addresses only, and two gateways have no "
        "other addresses in common than IPv6.",
        "Set `tunnel.mode` to Auto or Tunnel in both CloudPeers, or agree on VXLAN or Geneve as "
        "`tunnel.encapsulation`, or give the gateways IPv4 addresses.",
        *_TUNNEL,
    ),
    Reason.ADDRESS_FAMILIES_DIFFER: administrator(
        "Of two gateways one is reached by IPv4 and the other by IPv6, or the node has no address of the version by "
        "which both are reached. The message names both. All other connections have theirs.",
        "Give one of them an address of the other version in its cloud's gateway networks (`gateway_cidrs` in the "
        "settings), and add that network to `gatewayCIDRs` of the other cloud's CloudPeer.",
        *_TUNNEL,
    ),
    Reason.NOBODY_REACHABLE: administrator(
        "Of two gateways neither can be reached from outside: both are behind NATs that forward nothing to them. The "
        "message names both.",
        "Have UDP ports 500 and 4500 forwarded to one of them, or one port to its UDP port 4500, and say so in "
        "`spec.uplinks` of its GatewayNode.",
        *_TUNNEL,
    ),
    Reason.TRANSPORT_THROUGH_NAT: administrator(
        "A NAT is between two gateways, and the mode that both clouds agree on is transport mode, which would take two "
        "gateways behind one address for one. GRE is not excepted. A cloud of an earlier release knows no other mode.",
        "Set `tunnel.mode` to Auto in both CloudPeers; upgrade the older Isthmus.",
        *_TUNNEL,
    ),
    Reason.INNER_ENDS_COLLIDE: administrator(
        "A connection in tunnel mode would have an address inside that another one has, or the node itself. The "
        "message names both. All other connections have theirs.",
        "Give one of the two gateways another name, or the node another address than one of 240.0.0.0/4.",
        *_TUNNEL,
    ),
    Reason.HYBRID_NOT_SUPPORTED: administrator(
        "charon on a gateway node cannot do ML-KEM. Where the two clouds agree on hybrid key exchange only, the node "
        "has no connection to the peer; elsewhere it uses the fallback.",
        "Give the node strongSwan 6.0.2 or later with plugin `ml`, or with `openssl` on OpenSSL 3.5, such as the "
        "charon of the chart; or let both IPsecPolicies have a proposal without hybrid key exchange.",
        *_KEY,
        Place.HYBRID_KEY_EXCHANGE,
    ),
    Reason.HYBRID_IN_FORCE: settled(
        "Every IKE SA with the peer was made by a hybrid key exchange.", Place.HYBRID_KEY_EXCHANGE
    ),
    Reason.CERTIFICATE_NOT_FOUND: administrator(
        "One of the two clouds authenticates itself by a certificate, and the Secret lacks what that needs: `tls.crt` "
        "and `tls.key` if it is this cloud, `ca.crt` if it is the peer. Existing SAs stay.",
        "Store it in the Secret in namespace `isthmus-ipsec` that the message names, or in the one of this gateway.",
        *_KEY,
    ),
    Reason.INVALID_CERTIFICATE: administrator(
        "A certificate, a private key or a CRL in the Secret cannot be used. The message says which and "
        "why. Existing SAs stay.",
        "Have the gateway's certificate issued for the DNS name `<gateway>.<cloudID>`, and store it with its key; or "
        "correct `ca.crt` or `ca.crl`, if the message names one of them.",
        *_KEY,
        Place.DEGRADED,
    ),
    Reason.CERTIFICATE_KEY_DIFFERS: administrator(
        "`tls.key` in the Secret is not the private key of `tls.crt`. Existing SAs stay.",
        "Store the certificate and the key that belong together, both in one change of the Secret.",
        *_KEY,
    ),
    Reason.CERTIFICATE_CHAIN_TOO_LONG: administrator(
        "`tls.crt` has certificates between the gateway's and its CA's, which is not supported. Existing SAs stay.",
        "Have the gateway's certificate issued directly by the CA that the peer has in its `ca.crt`.",
        *_KEY,
    ),
    Reason.CERTIFICATES_VALID: settled(
        "No certificate, CA or CRL on this node expires soon.", Place.CERTIFICATE_EXPIRING
    ),
    Reason.CERTIFICATE_EXPIRING: administrator(
        "A certificate, a CA or a CRL expires within 14 days, or within a third of its lifetime if that is shorter. "
        "The message names the first one.",
        "Replace it in the Secret: the new one is used beside the old one, without an outage.",
        Place.CERTIFICATE_EXPIRING,
    ),
    Reason.CERTIFICATE_EXPIRED: administrator(
        "A certificate, a CA or a CRL has expired. SAs that are up stay up; the next authentication fails, but for an "
        "expired CRL, which stays in force.",
        "Replace it in the Secret.",
        Place.CERTIFICATE_EXPIRING,
    ),
    Reason.CERTIFICATE_REVOKED: administrator(
        "The certificate of the peer's gateway is on a revocation list in our Secret. Its SAs were ended.",
        "Ask the peer's administrator for a new certificate, or correct `ca.crl`.",
        *_TUNNEL,
    ),
    Reason.TUNNEL_PORT_IN_USE: administrator(
        "Another tunnel, that of another peer for instance, or another process on the node uses the UDP port of the "
        "tunnel.",
        "Free the port, or agree on another `tunnel.port` with the peer's administrator.",
        *_KEY,
    ),
    Reason.TUNNEL_PORT_FAILED: administrator(
        "Open vSwitch cannot create the tunnel port. The message is its own.",
        "Look at the log of ovs-vswitchd on the node.",
        *_TUNNEL,
    ),
    Reason.FLOWS_REJECTED: terminal(
        "Open vSwitch rejects the flows of the network or of the peer, or lists others than the agent has written. "
        "Other networks and peers are not affected.",
        "Look at the log of the agent on the node, and report it with the version of Open vSwitch.",
        Place.LINK,
        Place.DEGRADED,
    ),
    Reason.AUTHENTICATION_FAILED: administrator(
        "One gateway does not accept the other: the keys differ, a certificate is not accepted, it expects another "
        "identity, or it has not loaded the connection yet. IKE does not say which.",
        "Compare the pre-shared keys in the Secrets of both clouds, or the certificates with the CAs; the cloud IDs "
        "and the names of the gateways; and `ipsec.authentication` in both CloudPeers.",
        *_TUNNEL,
    ),
    Reason.IKE_NOT_ESTABLISHED: transient(
        "There is no IKE SA between the two gateways yet.",
        "If it lasts, check that UDP port 500 passes between the gateways in both directions, and 4500 if a NAT is "
        "between them.",
        *_TUNNEL,
    ),
    Reason.ESP_NOT_INSTALLED: transient(
        "The IKE SA has no complete set of ESP SAs yet.",
        "If it lasts, look at the log of charon in both clouds.",
        *_TUNNEL,
    ),
    Reason.SELECTORS_NARROWED: administrator(
        "The peer's gateway accepts only a part of the traffic selectors that the protocol prescribes: packets outside "
        "of them are dropped. The message has both.",
        "Have the peer's gateway corrected: one child to the tunnel's UDP port and one from it, the other port being "
        "any. The SAs are negotiated again from time to time.",
        *_TUNNEL,
    ),
    Reason.SAS_MISSING_IN_KERNEL: transient(
        "charon lists SAs as installed that the kernel does not have, or has no policies for: somebody flushed or "
        "deleted them. The agent has charon negotiate them again.",
        "If it lasts, look at the log of charon on the node, and for what flushes XFRM states or policies there.",
        *_TUNNEL,
    ),
    Reason.BFD_DOWN: transient(
        "The SAs are installed, but the peer's gateway does not answer BFD through the tunnel. The message says if "
        "other packets arrive.",
        "If nothing arrives, check that ESP (IP protocol 50) passes between the gateways, and the peer's GatewayNode. "
        "If packets do, the peer's gateway lacks BFD on tunnel ID 0, which the protocol requires.",
        *_TUNNEL,
    ),
    Reason.TUNNEL_DOWN: transient(
        "A connection is down for a reason that this version of Isthmus does not know.",
        "Look at the connections of the GatewayNodes; compare the versions of controller and agents.",
        Place.TUNNEL_UP,
        Place.READY,
    ),
    Reason.NO_TUNNEL: progressing(
        "The gateway node has no tunnel to the peer's gateway yet.",
        Place.TUNNEL_UP,
        Place.READY,
        Place.LINK,
        Place.HYBRID_KEY_EXCHANGE,
        remedy="If it lasts, look at condition `PeersConfigured` of the GatewayNodes.",
    ),
}
