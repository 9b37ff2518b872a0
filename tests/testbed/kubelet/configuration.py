"""Configuration files of containerd, CNI and the kubelet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.testbed.assets.pause import IMAGE

CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
ROOT: Final = "/run/kubelet/root"
# Logs of containers, of which `kubectl logs` prints the current ones.
POD_LOGS: Final = "/var/log/pods"


def containerd(cni: Path) -> str:
    """containerd's config.toml, for Debian's containerd 1.6."""
    return f"""version = 2
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  # The machine may lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"""


def network(pods: str | None) -> str:
    """CNI's list of plugins: a bridge with this network of pods, or nothing but loopback for pods in the host's."""
    if pods is None:
        return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "loopback"}]})
    addresses = {
        "type": "host-local",
        "dataDir": "/run/kubelet/addresses",
        "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": True, "ipam": addresses}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})


def kubelet(*, authority: Path, certificate: Path, key: Path, cgroup_root: str) -> str:
    """The kubelet's configuration as JSON, which is YAML."""
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "protectKernelDefaults": True,
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "registerNode": True,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "readOnlyPort": 0,
        "podLogsDir": POD_LOGS,
        "volumePluginDir": "/run/kubelet/plugins",
        "resolvConf": "/run/resolv.conf",
        # Rules that are of no use here, and would appear in inventories of the node.
        "makeIPTablesUtilChains": False,
        # The images are imported, and there is nowhere to pull them from again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {},
        "nodeStatusUpdateFrequency": "5s",
        # A Secret that is created later appears in a running pod only then; by default after up to a minute.
        "syncFrequency": "5s",
        "serializeImagePulls": False,
    }
    return json.dumps(document, indent=1)
