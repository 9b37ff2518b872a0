"""Values of the three workloads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charts.kubernetes import ChartModel, FreeForm, Labels, Resources, SELinuxOptions, Toleration
from isthmus.model.names import GATEWAY_LABEL

HostPath = Annotated[str, Field(pattern=r"^/[-._/A-Za-z0-9]+$")]
PriorityClass = Annotated[str, Field(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$")]
_GATEWAY_NODES = {GATEWAY_LABEL: "true"}
_EVERYWHERE = (Toleration(operator="Exists"),)


class DisruptionBudget(ChartModel):
    """A PodDisruptionBudget."""

    enabled: bool = False
    """Whether to create a PodDisruptionBudget with maxUnavailable 1."""


class Controller(ChartModel):
    """The controller: one Deployment for each cloud."""

    enabled: bool = True
    """Whether to run the controller in this cluster. Its account and its roles are created in any case, for a
    controller that runs natively."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Number of pods, of which one is active; the others take over when it ends."""
    resources: Resources = Resources(
        requests={"cpu": "50m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
        limits={"memory": "1Gi", "ephemeral-storage": "64Mi"},
    )
    """Resources of the container."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have to run it."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that it tolerates."""
    affinity: FreeForm = Field(default_factory=dict)
    """Affinity of the pod, as Kubernetes takes it."""
    priority_class_name: PriorityClass = "system-cluster-critical"
    """Priority class of the pod; empty for the default one."""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """Protection from voluntary disruptions; useful with several replicas."""


class OpenVSwitch(ChartModel):
    """Open vSwitch on the gateway nodes."""

    run_directory: HostPath = "/run/openvswitch"
    """Directory of the node with the sockets of ovsdb-server and ovs-vswitchd."""


class Agent(ChartModel):
    """The agent: a DaemonSet on the gateway nodes."""

    enabled: bool = True
    """Whether to run agents in pods. Their account and its roles are created in any case, for agents that run
    natively."""
    node_selector: Labels = _GATEWAY_NODES
    """Labels of gateway nodes; charon runs on the same nodes. The controller goes by `isthmus.cloud/gateway=true`
    alone."""
    tolerations: tuple[Toleration, ...] = _EVERYWHERE
    """Taints of gateway nodes that agent and charon tolerate: all, because a node without them loses its tunnels."""
    openvswitch: OpenVSwitch = OpenVSwitch()
    """Open vSwitch on the gateway nodes."""
    resources: Resources = Resources(
        requests={"cpu": "50m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
        limits={"memory": "512Mi", "ephemeral-storage": "64Mi"},
    )
    """Resources of the container."""
    se_linux_options: SELinuxOptions = SELinuxOptions()
    """SELinux labels of the container, for hosts whose policy denies it the sockets of Open vSwitch."""
    priority_class_name: PriorityClass = "system-node-critical"
    """Priority class of the pods of agent and charon; empty for the default one."""


class Charon(ChartModel):
    """strongSwan's charon: a DaemonSet of its own on the gateway nodes, which upgrades of the agent do not touch."""

    enabled: bool = True
    """Whether to run charon in pods. Without it, a charon of the node must have its vici socket in `runDirectory`."""
    run_directory: HostPath = "/run/isthmus"
    """Directory of the node for the vici socket `charon.vici`, which charon creates and the agent uses."""
    update_strategy: Literal["OnDelete", "RollingUpdate"] = "OnDelete"
    """OnDelete leaves a running charon alone until its pod is deleted, node by node and after the new image is on the
    node. RollingUpdate replaces all pods one after the other, at the moment of the upgrade."""
    resources: Resources = Resources(
        requests={"cpu": "20m", "memory": "32Mi", "ephemeral-storage": "4Mi"},
        limits={"memory": "256Mi", "ephemeral-storage": "16Mi"},
    )
    """Resources of the container."""
