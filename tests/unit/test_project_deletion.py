"""A project that is being deleted is not looked into: Neutron would create a default security group for it again."""

from __future__ import annotations

import threading

import pytest

from isthmus.adapters.openstack import OpenStackCloud
from isthmus.adapters.openstack.identity import Identity
from isthmus.adapters.openstack.networking import Networking
from isthmus.model.facts.openstack import Project


def test_nothing_is_listed_for_a_project_while_it_is_being_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    projects = {"p1": Project("p1", "web", "d1", "", True)}
    deleting, may_delete = threading.Event(), threading.Event()
    listed: list[str] = []

    def delete_defaults(_cloud: object, _project_id: str) -> None:
        deleting.set()
        assert may_delete.wait(5)

    def list_everything(_cloud: object, project_id: str) -> bool:
        listed.append(project_id)
        return True

    monkeypatch.setattr(Identity, "get_project", lambda _, project_id: projects.get(project_id))
    monkeypatch.setattr(Identity, "delete_project", lambda _, project_id: projects.pop(project_id))
    monkeypatch.setattr(Networking, "delete_project_defaults", delete_defaults)
    monkeypatch.setattr(Networking, "project_is_empty", list_everything)
    cloud = OpenStackCloud("clouds.yaml", "isthmus")
    results: list[bool] = []
    deletion = threading.Thread(target=cloud.delete_project, args=("p1",))
    look = threading.Thread(target=lambda: results.append(cloud.project_is_empty("p1")))
    deletion.start()
    assert deleting.wait(5)
    look.start()
    look.join(0.2)
    may_delete.set()
    deletion.join(5)
    look.join(5)
    assert results == [True]
    assert not listed
