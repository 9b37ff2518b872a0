"""Reasons from external systems, and from Isthmus itself."""

from __future__ import annotations

from .explanation import Place, administrator, terminal, transient
from .reason import Reason

_OF_NODES = (Place.DEGRADED, Place.CONNECTION, Place.LINK, Place.TUNNEL_UP)

EXPLANATIONS = {
    Reason.UNAVAILABLE: transient(
        "An external system (OpenStack, Open vSwitch, the kernel, charon) does not answer, or reports an internal "
        "error.",
        "If it lasts, look at the service that the message names.",
        Place.READY,
        *_OF_NODES,
        Place.OPENSTACK_AVAILABLE,
    ),
    Reason.FORBIDDEN: administrator(
        "An external system does not allow the request with our credential.",
        "Check the password and the roles of the OpenStack user, or the privileges of the process: see "
        "[install.md](install.md).",
        Place.READY,
        *_OF_NODES,
        Place.OPENSTACK_AVAILABLE,
    ),
    Reason.NOT_FOUND: transient(
        "Something that the request needs is gone.",
        "If it lasts, look for what the message names.",
        Place.READY,
        *_OF_NODES,
    ),
    Reason.CONFLICT: transient(
        "Something else changed, or uses, what the request is about.",
        "If it lasts, look at what the message names.",
        Place.READY,
        *_OF_NODES,
    ),
    Reason.INVALID: terminal(
        "An external system refuses the request as invalid, or the clouds file cannot be used.",
        "Change what the message names; trying again does not help.",
        Place.READY,
        *_OF_NODES,
        Place.OPENSTACK_AVAILABLE,
    ),
    Reason.NOT_SETTLED: transient(
        "Reconciling did not come to an end within its limit of rounds.",
        "If it lasts, report it with the controller's log.",
        Place.READY,
        Place.DEGRADED,
    ),
    Reason.DRIFT_CONTESTED: administrator(
        "Something that Isthmus made or changed in OpenStack was set back to what the clouds have agreed on, three "
        "times within ten minutes, and was changed again each time. It is left as it is, and the next attempt is made "
        "an hour after the last one. The message names it. Everything else is kept up.",
        "Find out who or what changes it, for instance a deployment tool that manages the same subnet, and stop that, "
        "or have the tool ignore the field. To have it set back at once after that, restart the controller.",
        Place.READY,
        Place.DEGRADED,
    ),
    Reason.PROJECT_NOT_USABLE: administrator(
        "An administrator of the receiver has disabled or deleted the project of the replica, or its domain, in "
        "Keystone. Isthmus neither enables it nor makes another one: replicas that exist stay connected, and nothing "
        "new is created in the project. Other projects are not concerned.",
        "Enable the project or the domain that the message names. If it was deleted, or is not to be used any more, "
        "refuse its networks by ExpansionApprovals (`decision: Refuse`): their replicas are then removed.",
        Place.READY,
        Place.DEGRADED,
    ),
    Reason.NOT_UNDERSTOOD: administrator(
        "This release of Isthmus does not understand the object as it is stored, or one that it needs. Nothing is "
        "changed for what the object is about: what exists stays as it is.",
        "Correct what the message names, or install the release that wrote it. The metric "
        "`isthmus_objects_not_understood` counts such objects, and the logs name them.",
        Place.READY,
        Place.CONNECTION,
        Place.PEERS_CONFIGURED,
        Place.TUNNEL_UP,
    ),
    Reason.INTERNAL_ERROR: terminal(
        "Isthmus met a value that it cannot handle.",
        "Report it with the log of the process that reports it: this is a defect of Isthmus.",
        Place.READY,
        Place.PEERS_CONFIGURED,
        *_OF_NODES,
    ),
}
