"""The OpenStack adapter fulfils ports.NetworkCloud on current ML2/OVN and on ML2/OVS of 2024.1."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.adapters.openstack import OpenStackCloud
from isthmus.model.errors import Forbidden, Invalid, Unavailable
from isthmus.model.facts.openstack import NetworkQuota, RequestedPort, Subnet
from isthmus.ports import NetworkCloud
from tests.contract.networkcloud import Created, NetworkCloudContract
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.lab import Lab

pytestmark = pytest.mark.stage("openstack")


@pytest.fixture(params=["a", "b"], scope="module")
def site(request: pytest.FixtureRequest, lab: Lab) -> Cloud:
    """Each of the lab's clouds."""
    return {"a": lab.a, "b": lab.b}[request.param]


@pytest.fixture(scope="module")
def clouds_file(site: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clouds") / "clouds.yaml"
    path.write_text(site.clouds_yaml())
    return path


@pytest.fixture(scope="module")
def cloud(clouds_file: Path) -> NetworkCloud:
    return OpenStackCloud(str(clouds_file), "isthmus")


class TestOpenStackCloud(NetworkCloudContract):
    @pytest.fixture
    def host(self, site: Cloud) -> str:
        return site.gateway.name

    @pytest.fixture
    def tamper(self, site: Cloud) -> Callable[[str], None]:
        def change(port_id: str) -> None:
            network = site.openstack().network
            network.update_port(port_id, admin_state_up=False, port_security_enabled=True, description="")

        return change

    @pytest.fixture
    def forget_quota(self, site: Cloud) -> Callable[[str], object]:
        network: Any = site.openstack().network
        return lambda project_id: network.delete_quota(project_id)

    @pytest.fixture
    def group(self, site: Cloud, created: Created) -> Callable[[str], str]:
        def create(name: str) -> str:
            network: Any = site.openstack().network
            made = network.create_security_group(name=name, project_id=created.project.id)
            created.undo.append(lambda: network.delete_security_group(made.id))
            return str(made.id)

        return create

    @pytest.fixture
    def route(self, site: Cloud) -> Callable[[Subnet], Callable[[], None]]:
        network: Any = site.openstack().network

        def attach(subnet: Subnet) -> Callable[[], None]:
            router = network.create_router(name="contract")
            network.add_interface_to_router(router, subnet=subnet.id)

            def detach() -> None:
                network.remove_interface_from_router(router, subnet=subnet.id)
                network.delete_router(router)

            return detach

        return attach

    def test_port_that_cannot_be_bound_is_deleted(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        with pytest.raises(Unavailable, match="no-such-host"):
            cloud.create_attachment_port(network.id, "no-such-host", "attachment", "")
        assert [p for p in cloud.ports_of(network.id) if not p.device_owner.startswith("network:")] == []

    def test_lists_are_complete_in_pages_of_two(
        self, cloud: NetworkCloud, created: Created, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keystone has pages since 2025.1, Neutron always."""
        monkeypatch.setattr("isthmus.adapters.openstack.api._PAGE", 2)
        networks = {created.network().id for _ in range(5)}
        projects = {cloud.create_project(created.project.domain_id, f"more-{n}", "").id for n in range(4)}
        try:
            found = [project.id for project in cloud.projects_of(created.project.domain_id)]
            assert sorted(found) == sorted({created.project.id, *projects})
            assert sorted(network.id for network in cloud.networks_of(created.project.id)) == sorted(networks)
        finally:
            for project_id in projects:
                cloud.delete_project(project_id)

    def test_only_keystone_and_neutron_are_seen(self, site: Cloud, cloud: NetworkCloud, clouds_file: Path) -> None:
        assert cloud.unseen_services() == ()
        identity: Any = site.openstack().identity
        service = identity.create_service(type="image", name="glance")
        endpoint = identity.create_endpoint(
            service_id=service.id, interface="public", url="http://127.0.0.1:1/", region_id=site.site.region
        )
        try:
            assert OpenStackCloud(str(clouds_file), "isthmus").unseen_services() == ("image",)
        finally:
            identity.delete_endpoint(endpoint)
            identity.delete_service(service)

    def test_default_security_group_is_deleted_with_the_project(
        self, site: Cloud, cloud: NetworkCloud, created: Created
    ) -> None:
        project = cloud.create_project(created.project.domain_id, "short-lived", "")
        cloud.set_quota(project.id, NetworkQuota(1, 1, 1))
        cloud.delete_network(cloud.create_network(project.id, "makes the group", 1400, "").id)
        assert project.id in _owners_of_groups(site)
        cloud.delete_project(project.id)
        cloud.delete_project(project.id)
        assert cloud.project_is_empty(project.id)
        assert project.id not in _owners_of_groups(site)

    def test_project_with_a_tenants_security_group_is_not_empty(
        self, site: Cloud, cloud: NetworkCloud, created: Created
    ) -> None:
        network = site.openstack().network
        group = network.create_security_group(name="mine", project_id=created.project.id)
        assert not cloud.project_is_empty(created.project.id)
        network.delete_security_group(group)
        assert cloud.project_is_empty(created.project.id)

    def test_network_shared_with_one_project_is_shared(
        self, site: Cloud, cloud: NetworkCloud, created: Created
    ) -> None:
        """Neutron reports a network as shared only if all projects, or the requesting one, have access."""
        network, admin = created.network(), site.openstack()
        policy = admin.network.create_rbac_policy(
            object_type="network",
            object_id=network.id,
            action="access_as_shared",
            target_project_id=uuid.uuid4().hex,
        )
        assert cloud.get_network(network.id) == network
        assert cloud.networks_shared_by_policy(network.id) == {network.id}
        admin.network.delete_rbac_policy(policy)
        assert cloud.networks_shared_by_policy(network.id) == frozenset()

    def test_policy_of_the_network_is_not_that_of_our_ports(
        self, site: Cloud, cloud: NetworkCloud, created: Created, host: str
    ) -> None:
        """Neutron also refuses a policy with rules for ports that only reserve addresses, and so for their network."""
        neutron = site.openstack().network
        policy = neutron.create_qos_policy(name="limit")
        created.undo.append(lambda: neutron.delete_qos_policy(policy.id))
        neutron.create_qos_bandwidth_limit_rule(policy.id, max_kbps=1000)
        subnet = created.subnet(created.network())
        network_id = subnet.network_id
        port = cloud.create_attachment_port(network_id, host, "attachment", "")
        gateway = cloud.create_gateway_port(network_id, subnet.id, "10.77.0.1", "gateway", "")
        machine = RequestedPort("remote", "fa:16:3e:00:00:01", ((subnet.id, "10.77.0.200"),))
        cloud.create_remote_ports(network_id, [machine], "")
        neutron.update_network(network_id, qos_policy_id=policy.id)
        found = cloud.get_network(network_id)
        assert found is not None
        assert found.qos_policy_id == policy.id
        (ours,) = neutron.qos_policies(name="isthmus", project_id=cloud.own_project_id())
        assert (ours.rules, ours.is_shared, ours.is_default) == ([], False, False)

        def unlimited() -> set[str]:
            policies = {p.id: p.qos_policy_id for p in cloud.ports_of(network_id)}
            assert set(policies.values()) <= {None, ours.id}
            return {id_ for id_, policy_id in policies.items() if policy_id is not None}

        assert len(unlimited()) == 2
        assert gateway.id in unlimited()
        cloud.set_empty_qos_policy(port.id)
        assert unlimited() >= {port.id, gateway.id}


def _changed(clouds_file: Path, directory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The clouds file in the directory with its entry changed; written in place, as an administrator corrects it."""
    document = json.loads(clouds_file.read_text())
    change(document["clouds"]["isthmus"])
    path = directory / "clouds.yaml"
    path.write_text(json.dumps(document))
    return path


def test_rejected_credential_is_named_by_file_and_entry_and_read_again(tmp_path: Path, clouds_file: Path) -> None:
    path = _changed(clouds_file, tmp_path, lambda entry: entry["auth"].update(password="wrong"))
    cloud = OpenStackCloud(str(path), "isthmus")
    with pytest.raises(Forbidden) as caught:
        cloud.check()
    output = (
        f"clouds file {path}, entry isthmus: the credential was rejected: identity: The request you have made requires"
    )
    assert str(caught.value).startswith(output)
    with pytest.raises(Forbidden):
        cloud.find_domain("Default")
    path.write_text(clouds_file.read_text())
    cloud.check()


def test_unresponsive_cloud_is_unavailable(tmp_path: Path, clouds_file: Path) -> None:
    path = _changed(clouds_file, tmp_path, lambda entry: entry["auth"].update(auth_url="http://127.0.0.1:1/v3"))
    with pytest.raises(Unavailable, match=rf"^clouds file {path}, entry isthmus: identity: Unable to establish"):
        OpenStackCloud(str(path), "isthmus").check()


@pytest.fixture
def second_region(site: Cloud) -> Iterator[str]:
    """Another region of the same Keystone, with an endpoint of Neutron in the catalogue."""
    identity: Any = site.openstack().identity
    (neutron,) = identity.services(type="network")
    region = identity.create_region(id="elsewhere")
    url = "http://127.0.0.1:1/"
    endpoint = identity.create_endpoint(service_id=neutron.id, interface="public", url=url, region_id=region.id)
    yield region.id
    identity.delete_endpoint(endpoint)
    identity.delete_region(region)


def test_region_is_not_guessed(site: Cloud, second_region: str, tmp_path: Path, clouds_file: Path) -> None:
    path = _changed(clouds_file, tmp_path, lambda entry: entry.pop("region_name"))
    regions = ", ".join(sorted([second_region, site.site.region]))
    cloud = OpenStackCloud(str(path), "isthmus")
    for ask in (cloud.check, cloud.own_project_id, lambda: cloud.get_network(str(uuid.uuid4()))):
        with pytest.raises(Invalid) as caught:
            ask()
        assert str(caught.value) == (
            f"clouds file {path}, entry isthmus: the catalogue has network endpoints in several regions ({regions}): "
            "set region_name to one of them"
        )
    OpenStackCloud(str(clouds_file), "isthmus").check()


def test_only_region_needs_no_name(tmp_path: Path, clouds_file: Path) -> None:
    OpenStackCloud(str(_changed(clouds_file, tmp_path, lambda entry: entry.pop("region_name"))), "isthmus").check()


def _owners_of_groups(site: Cloud) -> set[str]:
    """Query without a project filter: Neutron creates a default group for the project in the filter."""
    return {group.project_id for group in site.openstack().network.security_groups()}
