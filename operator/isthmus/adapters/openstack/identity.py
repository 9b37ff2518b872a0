"""Keystone: domains and projects of peers."""

from __future__ import annotations

from isthmus.model.errors import Conflict
from isthmus.model.facts.openstack import Domain, Project

from . import facts
from .api import Api


class Identity:
    """The Keystone part of `ports.NetworkCloud`."""

    def __init__(self, api: Api) -> None:
        self._keystone = api

    def find_domain(self, name: str) -> Domain | None:
        found = self._keystone.get("/domains", name=name)["domains"]  # Keystone compares names case-insensitively
        return next((facts.domain(document) for document in found if document["name"] == name), None)

    def create_domain(self, name: str, description: str) -> Domain:
        body = {"domain": {"name": name, "description": description, "enabled": True}}
        try:
            return facts.domain(self._keystone.post("/domains", body)["domain"])
        except Conflict:
            existing = self.find_domain(name)
            if existing is None or existing.description != description:
                raise
            return existing

    def delete_domain(self, domain_id: str) -> None:
        """Only an empty domain: Keystone deletes everything in a domain with it.

        Disabled first: its administrators cannot create anything after we have looked.
        """
        if self._keystone.find(f"/domains/{domain_id}") is None:
            return
        self._set_enabled(domain_id, enabled=False)
        for collection in ("projects", "users", "groups"):
            if self._keystone.get(f"/{collection}", domain_id=domain_id, limit="1")[collection]:
                self._set_enabled(domain_id, enabled=True)
                raise Conflict(f"identity: domain {domain_id} still has {collection}")
        self._keystone.delete(f"/domains/{domain_id}")

    def get_project(self, project_id: str) -> Project | None:
        found = self._keystone.find(f"/projects/{project_id}")
        return facts.project(found["project"]) if found else None

    def projects_of(self, domain_id: str) -> list[Project]:
        return [facts.project(document) for document in self._keystone.list("projects", domain_id=domain_id)]

    def create_project(self, domain_id: str, name: str, description: str) -> Project:
        body = {"project": {"domain_id": domain_id, "name": name, "description": description, "enabled": True}}
        try:
            return facts.project(self._keystone.post("/projects", body)["project"])
        except Conflict:
            found = self._keystone.get("/projects", domain_id=domain_id, name=name)["projects"]
            existing = next((p for p in map(facts.project, found) if p.description == description), None)
            if existing is None:
                raise
            return existing

    def delete_project(self, project_id: str) -> None:
        self._keystone.delete(f"/projects/{project_id}")

    def _set_enabled(self, domain_id: str, *, enabled: bool) -> None:
        self._keystone.patch(f"/domains/{domain_id}", {"domain": {"enabled": enabled}})
