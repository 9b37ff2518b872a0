"""The Keystone part of the fake cloud: domains and projects."""

from __future__ import annotations

import itertools
import uuid

from isthmus.model.errors import Conflict, NotFound, Unavailable
from isthmus.model.facts.openstack import Domain, Project


class FakeIdentity:
    """Domains and projects. `down` makes every call fail; `writes` counts changes, `requests` what would be sent."""

    def __init__(self) -> None:
        self.domains: dict[str, Domain] = {}
        self.projects: dict[str, Project] = {}
        self.down = False
        self.writes = 0
        self.requests = 0
        self._numbers = itertools.count(1)
        self._own_project = Project(self._new_key(), "isthmus", "default", "", True)
        self.projects[self._own_project.id] = self._own_project

    def check(self) -> None:
        self._ask()

    def own_project_id(self) -> str:
        return self._own_project.id

    def find_domain(self, name: str) -> Domain | None:
        self._ask()
        return next((d for d in self.domains.values() if d.name == name), None)

    def create_domain(self, name: str, description: str) -> Domain:
        existing = self.find_domain(name)
        if existing is not None:
            if existing.description == description:
                return existing
            raise Conflict(f"it is not permitted to have two domains with the same name: {name}")
        domain = Domain(self._new_key(), name, description, True)
        self.domains[domain.id] = domain
        self._wrote()
        return domain

    def delete_domain(self, domain_id: str) -> None:
        self._ask()
        if any(p.domain_id == domain_id for p in self.projects.values()):
            raise Conflict(f"domain {domain_id} is not empty")
        if self.domains.pop(domain_id, None):
            self._wrote()

    def get_project(self, project_id: str) -> Project | None:
        self._ask()
        return self.projects.get(project_id)

    def projects_of(self, domain_id: str) -> list[Project]:
        self._ask()
        return [p for p in self.projects.values() if p.domain_id == domain_id]

    def create_project(self, domain_id: str, name: str, description: str) -> Project:
        self._ask()
        if domain_id not in self.domains and domain_id != "default":
            raise NotFound(f"Could not find domain: {domain_id}")
        existing = next((p for p in self.projects_of(domain_id) if p.name == name), None)
        if existing is not None:
            if existing.description == description:
                return existing
            raise Conflict(f"it is not permitted to have two projects with the same name in the same domain: {name}")
        project = Project(self._new_key(), name, domain_id, description, True)
        self.projects[project.id] = project
        self._wrote()
        return project

    def delete_project(self, project_id: str) -> None:
        self._ask()
        if self.projects.pop(project_id, None):
            self._wrote()

    def _ask(self, requests: int = 1) -> None:
        self.requests += requests
        if self.down:
            raise Unavailable("the cloud does not answer")

    def _wrote(self) -> None:
        self.writes += 1

    def _next(self) -> int:
        return next(self._numbers)

    def _new_id(self) -> str:
        """A UUID as Neutron's, the same in every run."""
        return str(uuid.UUID(int=(0xFACE << 112) + self._next()))

    def _new_key(self) -> str:
        """A UUID without dashes, as Keystone's."""
        return self._new_id().replace("-", "")
