"""All layers of one subject, in order: what needs a layer that fails is not judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from . import networks, peerapi, tunnel
from .installation import installation
from .layers import Layer
from .subject import Subject
from .verdicts import Fault, Result, State, Undecided, Verdict, blocked_result, result

_NEEDS: Final[Mapping[Layer, tuple[Layer, ...]]] = MappingProxyType(
    {
        Layer.CREDENTIAL: (Layer.REACH,),
        Layer.AGREEMENT: (Layer.CREDENTIAL,),
        **dict.fromkeys(tunnel.CHECKS, (Layer.AGREEMENT,)),
        Layer.ECHO: (Layer.AGREEMENT, Layer.BFD),
        Layer.PORT: (),
        Layer.MTU: (Layer.ECHO,),
    }
)
"""Layers without which a failure is no finding. The layers of a tunnel know their order themselves, by connection."""

_NOTHING: Final = MappingProxyType(
    {
        Layer.ECHO: "no network is stretched",
        Layer.PORT: "no network is stretched",
        Layer.MTU: "not known: no frames of full size have been sent",
    }
)


def results(subject: Subject) -> list[Result]:
    """One for each layer."""
    found: dict[Layer, Result] = {}
    for layer in Layer:
        verdicts = _verdicts(layer, subject)
        judged = result(layer, verdicts, _NOTHING.get(layer, "no connection to the peer"))
        found[layer] = _judged(judged, [found[need] for need in _needs(layer, subject)], found)
    if not any(layer.state in (State.FAULT, State.UNDECIDED) for layer in found.values()):
        found |= _unexplained(subject)
    return list(found.values())


def _needs(layer: Layer, subject: Subject) -> Iterator[Layer]:
    """What was agreed last stays in force, whatever the peers have to say about it or about single networks since."""
    for need in _NEEDS.get(layer, ()):
        if need is not Layer.AGREEMENT or not peerapi.is_in_force(subject):
            yield need


def _unexplained(subject: Subject) -> dict[Layer, Result]:
    """What is not ready although no layer says why: the reason is another release's, or a layer could not be read."""
    texts = {Layer.AGREEMENT: list(peerapi.not_ready(subject)), Layer.PORT: list(networks.not_ready(subject))}
    return {layer: result(layer, map(Undecided, found)) for layer, found in texts.items() if found}


def _verdicts(layer: Layer, subject: Subject) -> Iterable[Verdict]:
    if layer is Layer.UNDERLAY:
        of_networks = (v for v in networks.of_networks(subject, layer) if isinstance(v, Fault))
        return (*tunnel.layer_verdicts(subject, layer), *of_networks)
    if layer in tunnel.CHECKS:
        return tunnel.layer_verdicts(subject, layer)
    return _OTHERS[layer](subject)


_OTHERS: Final[Mapping[Layer, Callable[[Subject], Iterable[Verdict]]]] = MappingProxyType(
    {
        Layer.INSTALLATION: lambda subject: installation(subject.readings),
        Layer.REACH: peerapi.reach,
        Layer.CREDENTIAL: peerapi.credential,
        Layer.AGREEMENT: peerapi.agreement,
        Layer.ECHO: networks.echo,
        Layer.PORT: networks.port,
        Layer.MTU: tunnel.mtu,
    }
)


def _judged(found: Result, needed: Iterable[Result], before: Mapping[Layer, Result]) -> Result:
    if found.state not in (State.FAULT, State.UNDECIDED, State.NOTHING):
        return found
    if found.state is State.UNDECIDED and (earlier := [r for r in before.values() if r.state is State.FAULT]):
        return blocked_result(found.layer, earlier[0].layer)
    failing = next((need for need in needed if not need.is_fine and need.blocked_by is not found.layer), None)
    return found if failing is None else blocked_result(found.layer, failing.layer)
