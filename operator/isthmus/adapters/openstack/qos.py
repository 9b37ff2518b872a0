"""Neutron's QoS policy without rules, which ports of ours have instead of their network's policy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from isthmus.model.errors import Conflict, Forbidden, Invalid, NotFound
from isthmus.model.names import QOS_POLICY

from .api import Api

_PATH: Final = "/qos/policies"
_DESCRIPTION: Final = "Has no rules: attachment ports of Isthmus have it instead of their network's policy"


class EmptyQoSPolicy:
    """The policy in our project, made when it is first needed."""

    def __init__(self, api: Api, own_project_id: Callable[[], str]) -> None:
        self._neutron = api
        self._own_project = own_project_id
        self._lock = threading.Lock()  # else two threads would create two policies

    def assigned(self) -> dict[str, Any]:
        """The field of a port that has it. Names are not unique in Neutron: of several it is always the same one."""
        owned = {"name": QOS_POLICY, "project_id": self._own_project()}
        with self._lock:
            found = [policy["id"] for policy in self._neutron.get(_PATH, **owned, fields="id")["policies"]]
            if not found:
                body = {**owned, "description": _DESCRIPTION, "shared": False}
                found = [self._neutron.post(_PATH, {"policy": body})["policy"]["id"]]
        return {"qos_policy_id": str(min(found))}

    def assigned_if_possible(self) -> dict[str, Any]:
        """The same for a port that only reserves addresses; no field if Neutron does not let us.

        It refuses a policy with rules for the whole network if that would apply to a port of vnic_type `baremetal`.
        """
        try:
            return self.assigned()
        except (Forbidden, NotFound, Invalid, Conflict):
            return {}
