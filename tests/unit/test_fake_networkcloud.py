"""The fake cloud fulfils the contract of ports.NetworkCloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.model.errors import Unavailable
from isthmus.model.facts.openstack import Subnet
from isthmus.ports import NetworkCloud
from tests.contract.networkcloud import Created, NetworkCloudContract
from tests.fakes.networkcloud import FakeNetworkCloud


class TestFakeNetworkCloud(NetworkCloudContract):
    @pytest.fixture
    def cloud(self) -> NetworkCloud:
        return FakeNetworkCloud()

    @pytest.fixture
    def tamper(self, cloud: FakeNetworkCloud) -> Callable[[str], None]:
        def change(port_id: str) -> None:
            changes = {"admin_state_up": False, "port_security_enabled": True, "description": ""}
            cloud.ports[port_id] = replace(cloud.ports[port_id], **changes)  # type: ignore[arg-type]

        return change

    @pytest.fixture
    def route(self, cloud: FakeNetworkCloud) -> Callable[[Subnet], Callable[[], None]]:
        def attach(subnet: Subnet) -> Callable[[], None]:
            port = cloud.attach_router(subnet.network_id, subnet.project_id, subnet.gateway_ip or "")
            return lambda: cloud.delete_port(port.id)

        return attach

    @pytest.fixture
    def forget_quota(self, cloud: FakeNetworkCloud) -> Callable[[str], object]:
        return lambda project_id: cloud.quotas.pop(project_id)

    @pytest.fixture
    def group(self, cloud: FakeNetworkCloud, created: Created) -> Callable[[str], str]:
        return lambda name: cloud.create_group(created.project.id, name).id

    @pytest.fixture
    def host(self) -> str:
        return "gw-1"


def test_unavailable_cloud() -> None:
    cloud = FakeNetworkCloud()
    cloud.down = True
    with pytest.raises(Unavailable):
        cloud.networks_of(cloud.own_project_id())
