"""Neutron: security groups, their rules, and the ports that are in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isthmus.model.errors import NotFound
from isthmus.model.facts.openstack import AllowedTraffic, SecurityGroup

from . import facts
from .api import Api
from .rules import rule_json


class SecurityGroups:
    """The part of `ports.NetworkCloud` that is about security groups."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def security_groups_of(self, *project_ids: str, with_rules: bool = False) -> list[SecurityGroup]:
        """Without `fields`, Neutron would answer with all rules of the groups."""
        fields = (*facts.SECURITY_GROUP_FIELDS, *((facts.SECURITY_GROUP_RULES,) if with_rules else ()))
        try:
            documents = self._api.list_any("security-groups", "project_id", project_ids, fields=fields)
        except NotFound:  # no such extension
            return []
        owned, projects = [facts.security_group(document) for document in documents], {*project_ids}
        return [group for group in owned if group.project_id in projects]  # Neutron also lists shared ones

    def port_groups_of(self, *network_ids: str) -> Mapping[str, frozenset[tuple[str, tuple[str, ...]]]]:
        fields = ("id", "network_id", "security_groups")
        found: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
        for document in self._api.list_any("ports", "network_id", network_ids, fields=fields):
            found.setdefault(document["network_id"], set()).add((document["id"], facts.group_ids(document)))
        return {network_id: frozenset(ports) for network_id, ports in found.items()}

    def create_security_group(self, project_id: str, name: str, description: str, *, stateful: bool) -> None:
        body = {"project_id": project_id, "name": name, "description": description}
        # Where Neutron has no extension for it, all groups are stateful, and it refuses the field.
        self._api.post("/security-groups", {"security_group": body | ({} if stateful else {"stateful": False})})

    def update_security_group(
        self, group_id: str, description: str, removed_rules: Sequence[str], added_rules: Sequence[AllowedTraffic]
    ) -> None:
        for rule_id in removed_rules:
            self._api.delete(f"/security-group-rules/{rule_id}")
        path = f"/security-groups/{group_id}"
        if added_rules:
            project_id = self._api.get(path, fields="project_id")["security_group"]["project_id"]
            documents = [rule_json(project_id, group_id, allowed) for allowed in added_rules]
            self._api.post("/security-group-rules", {"security_group_rules": documents})
        self._api.put(path, {"security_group": {"description": description}})
