"""A gateway that nobody configured through us: kernel VXLAN, charon with swanctl, all by hand; no BFD, no probes.

No code of ours runs on it. tests/lab/interop has such a peer with the rest of the protocol.
"""

from __future__ import annotations

from pathlib import Path

from tests.authority import Issued
from tests.kernel.node import UDP_PORT, Node
from tests.kernel.openvswitch import sh

_SETTINGS = """
charon {{
  load = random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints vici kernel-netlink socket-default
  install_routes = no
  plugins {{ vici {{ socket = unix://{socket} }} }}
  filelog {{ stdout {{ path = {log} }} }}
}}
"""
_CONNECTION = """
connections {{
  them {{
    version = 2
    local_addrs = {ours}
    remote_addrs = {theirs}
    proposals = aes256gcm16-prfsha384-ecp384
    mobike = no
    local {{
      auth = {auth}
      id = fqdn:gw-b.cloud-b
      {own}
    }}
    remote {{
      auth = {auth}
      id = fqdn:gw-a.cloud-a
      {trusted}
    }}
    children {{
      out {{
        mode = transport
        local_ts = {ours}[udp]
        remote_ts = {theirs}[udp/{port}]
        esp_proposals = aes256gcm16-ecp384
      }}
      in {{
        mode = transport
        local_ts = {ours}[udp/{port}]
        remote_ts = {theirs}[udp]
        esp_proposals = aes256gcm16-ecp384
      }}
    }}
  }}
}}
{secrets}
"""
_SECRET = 'secrets {{ ike {{ id-1 = fqdn:gw-b.cloud-b\n id-2 = fqdn:gw-a.cloud-a\n secret = "{key}" }} }}'


class PlainGateway(Node):
    """Gateway gw-b of cloud-b."""

    def __init__(self, address: str, remote: str, directory: Path) -> None:
        super().__init__("b", address, directory)
        self._settings.write_text(_SETTINGS.format(socket=self._socket, log=self.log))
        self._remote = remote
        self._credentials = directory / "swanctl"
        self.gateway = {"name": "gw-b", "address": address}

    def silence(self) -> None:
        """Block what the kernel would answer in clear to tunnel packets before there is a device; nothing else."""
        sh(
            f"ip xfrm policy add src 0/0 dst {self._remote}/32 proto icmp type 3 code 3 dir out action block "
            "priority 900000",
            self.name,
        )

    def by_key(self, key: bytes) -> None:
        """Authenticate both ends by a pre-shared key."""
        self._configure(_SECRET.format(key=key.decode()), auth="psk")

    def by_certificate(self, issued: Issued, authority: bytes) -> None:
        """Authenticate both ends by certificates of one CA."""
        for part, content in (("x509", issued.certificate), ("private", issued.private_key), ("x509ca", authority)):
            (self._credentials / part).mkdir(parents=True, exist_ok=True)
            (self._credentials / part / "file.pem").write_bytes(content)
        self._configure(auth="pubkey", own="certs = file.pem", trusted="cacerts = file.pem")

    def _configure(self, secrets: str = "", auth: str = "", own: str = "", trusted: str = "") -> None:
        self._credentials.mkdir(exist_ok=True)
        ends = {"ours": self.address, "theirs": self._remote, "port": UDP_PORT}
        text = _CONNECTION.format(secrets=secrets, auth=auth, own=own, trusted=trusted, **ends)
        (self._credentials / "swanctl.conf").write_text(text)
        self.load()

    def load(self) -> None:
        """Load what it authenticated itself by last."""
        self.swanctl(f"--load-all --clear --noprompt --file {self._credentials}/swanctl.conf")

    def swanctl(self, arguments: str) -> str:
        """Ask its charon."""
        return sh(f"SWANCTL_DIR={self._credentials} swanctl {arguments} --uri unix://{self._socket}", self.name)

    def is_protected(self) -> bool:
        """Whether both children are installed."""
        return self.swanctl("--list-sas").count("INSTALLED") >= len(("out", "in"))

    def open_tunnel(self, tunnel_id: int, inner: str) -> None:
        """Make a VXLAN device for one network, with an address of its own in it."""
        sh(
            f"ip link add vx0 type vxlan id {tunnel_id} local {self.address} remote {self._remote} dstport {UDP_PORT}\n"
            f"ip link set vx0 mtu 1500 up\nip addr add {inner}/24 dev vx0",
            self.name,
        )
