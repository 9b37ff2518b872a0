"""Security groups of Neutron in memory, for the fake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from isthmus.model import names
from isthmus.model.errors import Conflict, NotFound
from isthmus.model.facts.openstack import AllowedTraffic, SecurityGroup, SecurityGroupRule

_EVERYTHING_OUT = tuple(AllowedTraffic("egress", version) for version in (4, 6))


class SecurityGroups(dict[str, SecurityGroup]):
    """By ID, with their rules."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def of(self, project_ids: Iterable[str], *, with_rules: bool) -> list[SecurityGroup]:
        """Those of the projects."""
        found = [group for group in self.values() if group.project_id in project_ids]
        return found if with_rules else [replace(group, rules=None) for group in found]

    def create(self, id_: str, project_id: str, name: str, description: str = "", *, stateful: bool = True) -> None:
        """Create one with the rules that Neutron adds."""
        rules = tuple(map(self._rule, _EVERYTHING_OUT))
        self[id_] = SecurityGroup(id_, name, project_id, stateful, description, 1, rules)

    def update(  # type: ignore[override]
        self, id_: str, description: str, removed: Sequence[str], added: Sequence[AllowedTraffic]
    ) -> None:
        """Replace rules; `added` have the IDs of remote groups."""
        group = self.existing(id_)
        kept = [rule for rule in group.rules or () if rule.id not in removed]
        for allowed in added:
            if allowed.remote_group and self.existing(allowed.remote_group).project_id != group.project_id:
                raise NotFound(f"Security group {allowed.remote_group} does not exist")
            if allowed in [rule.allowed for rule in kept]:
                raise Conflict("Security group rule already exists.")
            kept.append(self._rule(allowed))
        ordered = tuple(sorted(kept, key=lambda rule: rule.id))
        self[id_] = replace(group, description=description, rules=ordered, revision=(group.revision or 0) + 1)

    def allow(self, id_: str, *added: AllowedTraffic) -> None:
        """Add rules, as a tenant does."""
        self.update(id_, self[id_].description, (), added)

    def existing(self, id_: str) -> SecurityGroup:
        """Raises NotFound."""
        if id_ not in self:
            raise NotFound(f"Security group {id_} does not exist")
        return self[id_]

    def holds(self, project_id: str) -> bool:
        """Whether the project has a group that does not go with it."""
        found = (group for group in self.values() if group.project_id == project_id)
        return any(group.name != "default" and not names.is_carried_group(group.description) for group in found)

    def forget(self, project_id: str) -> None:
        """Delete all of the project."""
        for group in [group for group in self.values() if group.project_id == project_id]:
            del self[group.id]

    def _rule(self, allowed: AllowedTraffic) -> SecurityGroupRule:
        return SecurityGroupRule(f"rule-{next(self._numbers):06}", allowed)
