"""The layers between two clouds, each of which needs others, and whose a fault is."""

from __future__ import annotations

from enum import StrEnum


class Layer(StrEnum):
    """In the order in which an administrator would look at them."""

    INSTALLATION = "installation"
    REACH = "reach"
    CREDENTIAL = "credential"
    AGREEMENT = "agreement"
    UNDERLAY = "underlay"
    IKE = "ike"
    ESP = "esp"
    ESP_PASSES = "esp-passes"
    BFD = "bfd"
    ECHO = "echo"
    PORT = "port"
    MTU = "mtu"

    @property
    def meaning(self) -> str:
        """What is well if the layer is."""
        return _MEANINGS[self]


_MEANINGS = {
    Layer.INSTALLATION: "the controller is active, and agent, charon and Open vSwitch of the gateway nodes answer",
    Layer.REACH: "the peer's API server answers, and is the one that was agreed on",
    Layer.CREDENTIAL: "the peer's API server accepts our credential, and the peer has ours",
    Layer.AGREEMENT: "both clouds publish the same agreement, and the peer accepts our networks",
    Layer.UNDERLAY: "packets pass between the gateways",
    Layer.IKE: "the gateways have authenticated each other",
    Layer.ESP: "all ESP SAs are installed in the kernel",
    Layer.ESP_PASSES: "ESP packets arrive in both directions",
    Layer.BFD: "Open vSwitch on both gateways exchanges BFD packets through the tunnel",
    Layer.ECHO: "dataplane probes of every network are reflected by the peer's gateway",
    Layer.PORT: "Neutron has the network, and its port on the gateway node is in service",
    Layer.MTU: "frames as long as the network's MTU come back",
}


class Whose(StrEnum):
    """Where to look for the cause, as far as one side can know."""

    US = "us"
    PEER = "the peer"
    BETWEEN = "the underlay between"
    NEUTRON = "Neutron"
    US_OR_PEER = "us, or the peer"
    PEER_OR_BETWEEN = "the peer, or the underlay between"
