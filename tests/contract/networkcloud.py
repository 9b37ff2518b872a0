"""Contract of ports.NetworkCloud."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from isthmus.model.errors import Conflict, ExternalError, Invalid, NotFound, QuotaExceeded
from isthmus.model.facts.openstack import (
    AUTOMATIC_MODES,
    AllowedTraffic,
    Domain,
    Network,
    NetworkQuota,
    Project,
    Range,
    RequestedPort,
    SecurityGroup,
    Subnet,
)
from isthmus.model.names import ATTACHMENT_DEVICE_OWNER, GATEWAY_DEVICE_OWNER, REMOTE_DEVICE_OWNER, carried_group
from isthmus.ports import NetworkCloud
from isthmus.ports.openstack import SPARE_PORTS

ABSENT = str(uuid.UUID(int=1))
POOL = (Range("10.77.0.10", "10.77.0.20"),)


@dataclass
class Created:
    """A peer's domain and project, and networks that are deleted after the test."""

    cloud: NetworkCloud
    domain: Domain
    project: Project
    networks: list[str] = field(default_factory=list)
    undo: list[Callable[[], object]] = field(default_factory=list)
    """What deletes other things of the project, once the networks are gone."""

    def network(self, name: str = "replica", mtu: int = 1400) -> Network:
        """Create a network in the project."""
        network = self.cloud.create_network(self.project.id, name, mtu, "isthmus contract")
        self.networks.append(network.id)
        return network

    def subnet(
        self,
        network: Network,
        cidr: str = "10.77.0.0/24",
        gateway_ip: str | None = "10.77.0.1",
        pools: Sequence[Range] = POOL,
        enable_dhcp: bool = False,
    ) -> Subnet:
        """Create a subnet of a network."""
        where = (network.id, self.project.id, "replica", cidr, gateway_ip, pools, enable_dhcp)
        routes = [("192.0.2.0/24", "10.77.0.9")]
        return self.cloud.create_subnet(*where, ["10.77.0.2"], routes, "isthmus contract")

    def clean(self) -> None:
        """Delete everything."""
        for network_id in self.networks:
            for port in self.cloud.ports_of(network_id):
                if not port.device_owner.startswith("network:"):
                    self.cloud.delete_port(port.id)
            self.cloud.delete_network(network_id)
        for delete in self.undo:
            delete()
        self.cloud.delete_project(self.project.id)
        self.cloud.delete_domain(self.project.domain_id)


_OF_ABSENT = AllowedTraffic("ingress", 4, remote_group=ABSENT)


def _machine(subnet: Subnet, number: int, *addresses: str) -> RequestedPort:
    """A machine in another cloud."""
    return RequestedPort("remote", f"fa:16:3e:00:00:{number:02x}", tuple((subnet.id, a) for a in addresses))


class NetworkCloudContract:
    """Subclasses provide the fixtures `cloud`, `host` (a host on which a port can be bound) and those below.

    `tamper` disables a port, switches its port security on and empties its description, as an administrator may.
    `route` attaches a router to a subnet, with its gateway as address, and returns what detaches it. `forget_quota`
    gives a project the default one. `group` creates a security group of that name in the project, and returns its ID.
    """

    @pytest.fixture
    def created(self, cloud: NetworkCloud) -> Iterator[Created]:
        domain = cloud.create_domain(f"isthmus-contract-{uuid.uuid4().hex[:8]}", "isthmus peer contract")
        created = Created(cloud, domain, cloud.create_project(domain.id, "replica", "isthmus project x of contract"))
        yield created
        created.clean()

    def test_usable_cloud_passes_the_check(self, cloud: NetworkCloud) -> None:
        cloud.check()

    def test_domains_and_projects_are_found(self, cloud: NetworkCloud, created: Created) -> None:
        assert cloud.get_project(created.project.id) == created.project
        assert created.project.description == "isthmus project x of contract"
        assert created.project.enabled
        assert cloud.projects_of(created.project.domain_id) == [created.project]
        assert cloud.get_project(uuid.uuid4().hex) is None
        assert cloud.find_domain(f"absent-{uuid.uuid4().hex}") is None
        own = cloud.get_project(cloud.own_project_id())
        assert own is not None

    def test_domain_names_are_unique(self, cloud: NetworkCloud) -> None:
        name = f"isthmus-contract-{uuid.uuid4().hex[:8]}"
        domain = cloud.create_domain(name, "isthmus peer found")
        try:
            assert cloud.find_domain(name) == domain
            assert domain.description == "isthmus peer found"
            with pytest.raises(Conflict):
                cloud.create_domain(name, "again")
            assert cloud.create_domain(name, "isthmus peer found") == domain, "ours is found, not created twice"
        finally:
            cloud.delete_domain(domain.id)
        assert cloud.find_domain(name) is None
        cloud.delete_domain(domain.id)

    def test_domain_with_a_project_is_not_deleted(self, cloud: NetworkCloud, created: Created) -> None:
        with pytest.raises(Conflict):
            cloud.delete_domain(created.project.domain_id)
        assert cloud.projects_of(created.project.domain_id) == [created.project]
        assert [d for d in [cloud.find_domain(created.domain.name)] if d and d.enabled] == [created.domain]

    def test_project_names_are_unique_in_their_domain(self, cloud: NetworkCloud, created: Created) -> None:
        with pytest.raises(Conflict):
            cloud.create_project(created.project.domain_id, "replica", "again")
        ours = cloud.create_project(created.project.domain_id, "replica", created.project.description)
        assert ours == created.project, "ours is found, not created twice"

    def test_deleting_a_project_is_idempotent(self, cloud: NetworkCloud, created: Created) -> None:
        extra = cloud.create_project(created.project.domain_id, "extra", "")
        cloud.set_quota(extra.id, NetworkQuota(1, 1, 1))
        for _ in range(2):
            cloud.delete_project(extra.id)
        assert cloud.get_project(extra.id) is None
        assert cloud.get_quota(extra.id) != NetworkQuota(1, 1, 1)

    def test_networks_outlive_their_project(self, cloud: NetworkCloud, created: Created) -> None:
        """Neutron does not notice what Keystone deletes."""
        network = created.network()
        subnet = created.subnet(network)
        cloud.delete_project(created.project.id)
        assert cloud.get_project(created.project.id) is None
        assert [n.id for n in cloud.networks_of(created.project.id)] == [network.id]
        assert [s.id for s in cloud.subnets_in_project(created.project.id)] == [subnet.id]
        cloud.delete_network(network.id)
        assert cloud.networks_of(created.project.id) == []

    def test_network_is_created_as_requested(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network("web", 1390)
        assert (network.name, network.project_id, network.mtu) == ("web", created.project.id, 1390)
        assert network.description == "isthmus contract"
        assert not network.shared
        assert cloud.networks_shared_by_policy(network.id) == frozenset()
        assert not network.external
        assert cloud.get_network(network.id) == network
        assert cloud.networks_of(created.project.id) == [network]
        assert cloud.get_network(ABSENT) is None

    def test_lists_of_several_networks_and_projects(self, cloud: NetworkCloud, created: Created, host: str) -> None:
        """More of them than one request holds."""
        networks = [created.network() for _ in range(2)]
        subnets = [created.subnet(network) for network in networks]
        ports = [cloud.create_attachment_port(network.id, host, "attachment", "") for network in networks]
        ids = [*(n.id for n in networks), *(str(uuid.uuid4()) for _ in range(110))]
        projects = [created.project.id, *(uuid.uuid4().hex for _ in range(110))]
        for found in (cloud.get_networks(*reversed(ids)), cloud.networks_of(*reversed(projects))):
            assert {n.id: n for n in found} == {n.id: n for n in networks}
        for subnets_found in (cloud.subnets_of(*ids), cloud.subnets_in_project(*projects)):
            assert {s.id: s for s in subnets_found} == {s.id: s for s in subnets}
        assert {p.id for p in cloud.ports_of(*ids) if p.device_owner == ATTACHMENT_DEVICE_OWNER} == {
            p.id for p in ports
        }
        assert cloud.networks_shared_by_policy(*ids) == frozenset()

    def test_list_for_no_ids_is_empty(self, cloud: NetworkCloud, created: Created) -> None:
        created.subnet(created.network())
        lists = (cloud.get_networks, cloud.networks_of, cloud.subnets_of, cloud.subnets_in_project, cloud.ports_of)
        assert [list_() for list_ in lists] == [[]] * 5
        assert cloud.networks_shared_by_policy() == frozenset()

    def test_summary_of_a_network_changes_with_its_ports_and_pools(
        self, cloud: NetworkCloud, created: Created, host: str
    ) -> None:
        network = created.network()
        subnet = created.subnet(network)
        other = created.network()
        projects = (created.project.id, *(uuid.uuid4().hex for _ in range(110)))
        seen = []

        def look() -> object:
            found = cloud.network_summaries(*reversed(projects))
            assert found is not None
            assert found.keys() == {network.id, other.id}
            seen.append(found[network.id])
            return found[other.id]

        first_of_other = look()
        port = cloud.create_gateway_port(network.id, subnet.id, "10.77.0.1", "gateway", "")
        look()
        cloud.update_subnet(subnet.id, pools=[Range("10.77.0.10", "10.77.0.15")])
        look()
        cloud.delete_port(port.id)
        assert look() == first_of_other
        assert len(set(seen)) == 4
        cloud.create_attachment_port(network.id, host, "no address", "")
        look()
        assert seen[-1] == seen[-2]
        assert cloud.network_summaries() == {}

    def test_mtu_and_tags_are_updated(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        cloud.set_network_mtu(network.id, 1300)
        for _ in range(2):
            cloud.tag_network(network.id, "isthmus")
        changed = cloud.get_network(network.id)
        assert changed is not None
        assert (changed.mtu, changed.tags) == (1300, frozenset({"isthmus"}))

    def test_mtu_above_the_underlay_is_rejected(self, cloud: NetworkCloud, created: Created) -> None:
        with pytest.raises(Invalid):
            created.network(mtu=9001)
        network = created.network()
        with pytest.raises(Invalid):
            cloud.set_network_mtu(network.id, 9001)

    def test_subnet_is_created_as_requested(self, cloud: NetworkCloud, created: Created) -> None:
        subnet = created.subnet(created.network())
        assert (subnet.cidr, subnet.gateway_ip, subnet.pools) == ("10.77.0.0/24", "10.77.0.1", POOL)
        assert (subnet.ip_version, subnet.enable_dhcp, subnet.project_id) == (4, False, created.project.id)
        assert subnet.dns_nameservers == ("10.77.0.2",)
        assert subnet.host_routes == (("192.0.2.0/24", "10.77.0.9"),)
        assert subnet.description == "isthmus contract"
        assert cloud.subnets_of(subnet.network_id) == [subnet]

    def test_subnets_of_a_project_are_those_of_all_its_networks(self, cloud: NetworkCloud, created: Created) -> None:
        subnets = [created.subnet(created.network()) for _ in range(2)]
        assert {s.id: s for s in cloud.subnets_in_project(created.project.id)} == {s.id: s for s in subnets}
        assert cloud.subnets_in_project(uuid.uuid4().hex) == []

    def test_subnet_may_have_no_gateway(self, created: Created) -> None:
        assert created.subnet(created.network(), gateway_ip=None).gateway_ip is None

    def test_subnet_is_updated(self, cloud: NetworkCloud, created: Created) -> None:
        subnet = created.subnet(created.network())
        pools = (Range("10.77.0.10", "10.77.0.12"), Range("10.77.0.200", "10.77.0.210"))
        cloud.update_subnet(subnet.id, pools=pools, dns_nameservers=[], host_routes=[("192.0.2.0/25", "10.77.0.8")])
        (changed,) = cloud.subnets_of(subnet.network_id)
        assert set(changed.pools) == set(pools)
        assert changed.dns_nameservers == ()
        assert changed.host_routes == (("192.0.2.0/25", "10.77.0.8"),)
        assert changed.enable_dhcp is False

    def test_gateway_is_replaced_and_removed_together_with_the_pools(
        self, cloud: NetworkCloud, created: Created
    ) -> None:
        subnet = created.subnet(created.network())
        inside = POOL[0].first
        rest = (Range("10.77.0.200", "10.77.0.210"),)
        with pytest.raises(Conflict):
            cloud.update_subnet(subnet.id, gateway_ip=inside)
        cloud.update_subnet(subnet.id, gateway_ip=inside, pools=rest)
        (changed,) = cloud.subnets_of(subnet.network_id)
        assert (changed.gateway_ip, changed.pools) == (inside, rest)
        cloud.update_subnet(subnet.id, gateway_ip="", pools=POOL)
        (changed,) = cloud.subnets_of(subnet.network_id)
        assert (changed.gateway_ip, changed.pools) == (None, POOL)
        cloud.update_subnet(subnet.id, enable_dhcp=True)
        (changed,) = cloud.subnets_of(subnet.network_id)
        assert (changed.gateway_ip, changed.enable_dhcp) == (None, True)

    def test_gateway_that_a_router_has_is_not_replaced(
        self, cloud: NetworkCloud, created: Created, route: Callable[[Subnet], Callable[[], None]]
    ) -> None:
        subnet = created.subnet(created.network())
        detach = route(subnet)
        try:
            for gateway in ("10.77.0.2", ""):
                with pytest.raises(Conflict):
                    cloud.update_subnet(subnet.id, gateway_ip=gateway, dns_nameservers=[])
            (unchanged,) = cloud.subnets_of(subnet.network_id)
            assert unchanged == subnet, "nothing else either"
            cloud.update_subnet(subnet.id, gateway_ip=subnet.gateway_ip, dns_nameservers=[])
            (changed,) = cloud.subnets_of(subnet.network_id)
            assert changed.dns_nameservers == ()
        finally:
            detach()
        cloud.update_subnet(subnet.id, gateway_ip="10.77.0.2")

    def test_nothing_is_overwritten_that_was_changed_since(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        before = cloud.get_network(network.id)
        assert before is not None
        assert before.revision is not None
        cloud.set_network_mtu(network.id, 1350)
        with pytest.raises(Conflict):
            cloud.set_network_mtu(network.id, 1300, before.revision)
        now = cloud.get_network(network.id)
        assert now is not None
        assert (now.mtu, now.revision != before.revision) == (1350, True)
        cloud.set_network_mtu(network.id, 1300, now.revision)
        subnet = created.subnet(network)
        (read,) = cloud.subnets_of(network.id)
        cloud.update_subnet(subnet.id, enable_dhcp=True, revision=read.revision)
        with pytest.raises(Conflict):
            cloud.update_subnet(subnet.id, enable_dhcp=False, revision=read.revision)

    def test_pools_are_not_overwritten_that_were_changed_since(self, cloud: NetworkCloud, created: Created) -> None:
        """Whether or not Neutron gives the subnet another revision then."""
        subnet = created.subnet(created.network())
        (read,) = cloud.subnets_of(subnet.network_id)
        theirs = (Range("10.77.0.30", "10.77.0.40"),)
        cloud.update_subnet(subnet.id, pools=theirs, replaced_pools=POOL, revision=read.revision)
        with pytest.raises(Conflict):
            cloud.update_subnet(
                subnet.id, pools=[Range("10.77.0.50", "10.77.0.60")], replaced_pools=POOL, revision=read.revision
            )
        (changed,) = cloud.subnets_of(subnet.network_id)
        assert changed.pools == theirs
        cloud.update_subnet(subnet.id, pools=POOL, replaced_pools=theirs, revision=changed.revision)

    def test_subnets_of_one_network_do_not_overlap(self, created: Created) -> None:
        network = created.network()
        created.subnet(network)
        with pytest.raises(Invalid):
            created.subnet(network)

    def test_two_networks_may_have_equal_subnets(self, created: Created) -> None:
        assert created.subnet(created.network()).cidr == created.subnet(created.network()).cidr

    @pytest.mark.parametrize(
        ("pools", "error"),
        [
            ([Range("10.77.0.1", "10.77.0.9")], Conflict),
            ([Range("10.77.0.5", "10.77.0.9"), Range("10.77.0.9", "10.77.0.12")], Conflict),
            ([Range("10.77.1.5", "10.77.1.9")], Invalid),
            ([Range("10.77.0.9", "10.77.0.5")], Invalid),
        ],
        ids=["gateway inside", "overlapping", "outside the subnet", "backwards"],
    )
    def test_invalid_pools_are_rejected(
        self, cloud: NetworkCloud, created: Created, pools: list[Range], error: type[ExternalError]
    ) -> None:
        network = created.network()
        with pytest.raises(error):
            created.subnet(network, pools=pools)
        subnet = created.subnet(network)
        with pytest.raises(error):
            cloud.update_subnet(subnet.id, pools=pools)
        assert cloud.subnets_of(network.id) == [subnet]

    def test_absent_resource_cannot_be_updated_but_deleted(self, cloud: NetworkCloud) -> None:
        with pytest.raises(NotFound):
            cloud.set_network_mtu(ABSENT, 1400)
        with pytest.raises(NotFound):
            cloud.update_subnet(ABSENT, pools=POOL)
        cloud.delete_network(ABSENT)
        cloud.delete_subnet(ABSENT)
        cloud.delete_port(ABSENT)

    def test_attachment_port_is_bound_and_has_no_address(
        self, cloud: NetworkCloud, created: Created, host: str
    ) -> None:
        network = created.network()
        created.subnet(network)
        port = cloud.create_attachment_port(network.id, host, "attachment", "isthmus contract")
        assert (port.addresses, port.host, port.network_id) == ((), host, network.id)
        assert (port.device_owner, port.project_id) == (ATTACHMENT_DEVICE_OWNER, cloud.own_project_id())
        assert port.description == "isthmus contract"
        (listed,) = (p for p in cloud.ports_of(network.id) if p.id == port.id)
        assert replace(listed, status=port.status) == port

    def test_changed_attachment_port_is_restored(
        self, cloud: NetworkCloud, created: Created, host: str, tamper: Callable[[str], None]
    ) -> None:
        network = created.network()
        port = cloud.create_attachment_port(network.id, host, "attachment", "isthmus contract")
        assert (port.admin_state_up, port.port_security_enabled) == (True, False)
        tamper(port.id)
        (changed,) = (p for p in cloud.ports_of(network.id) if p.id == port.id)
        assert (changed.admin_state_up, changed.port_security_enabled, changed.description) == (False, True, "")
        cloud.update_attachment_port(port.id, port.description)
        (restored,) = (p for p in cloud.ports_of(network.id) if p.id == port.id)
        assert (restored.admin_state_up, restored.port_security_enabled) == (True, False)
        assert restored.description == port.description
        with pytest.raises(NotFound):
            cloud.update_attachment_port(ABSENT, "")

    def test_attachment_ports_share_one_qos_policy_of_their_own(
        self, cloud: NetworkCloud, created: Created, host: str
    ) -> None:
        network, other = created.network("one"), created.network("other")
        ports = [cloud.create_attachment_port(n.id, host, "attachment", "") for n in (network, other, network)]
        for port in ports[:2]:
            assert port.qos_policy_id is None
            cloud.set_empty_qos_policy(port.id)
            cloud.set_empty_qos_policy(port.id)
            cloud.update_attachment_port(port.id, port.description)
        after = {port.id: port.qos_policy_id for port in cloud.ports_of(network.id, other.id)}
        one, same, none = (after[port.id] for port in ports)
        assert one is not None
        assert (same, none) == (one, None)
        with pytest.raises(NotFound):
            cloud.set_empty_qos_policy(ABSENT)

    def test_gateway_port_reserves_the_gateway_address(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        subnet = created.subnet(network)
        reserve = (network.id, subnet.id, "10.77.0.1", "gateway", "isthmus contract")
        port = cloud.create_gateway_port(*reserve)
        assert (port.addresses, port.host) == (("10.77.0.1",), "")
        assert (port.device_owner, port.project_id) == (GATEWAY_DEVICE_OWNER, cloud.own_project_id())
        assert port in cloud.ports_of(network.id)
        with pytest.raises(Conflict):
            cloud.create_gateway_port(*reserve)
        with pytest.raises(Invalid):
            cloud.create_gateway_port(network.id, subnet.id, "10.78.0.1", "gateway", "")

    @pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateless", "dhcpv6-stateful", None])
    def test_ipv6_subnet_keeps_its_mode_and_the_gateway_outside_of_this_neutron(
        self, cloud: NetworkCloud, created: Created, mode: str | None
    ) -> None:
        network = created.network()
        where = (network.id, created.project.id, "replica", "fd00:77::/64", "fd00:77::")
        pools = () if mode in AUTOMATIC_MODES else (Range("fd00:77::1000", "fd00:77::1fff"),)
        subnet = cloud.create_subnet(*where, pools, mode is not None, [], [], "isthmus contract", mode)
        assert (subnet.ip_version, subnet.cidr, subnet.gateway_ip) == (6, "fd00:77::/64", "fd00:77::")
        assert subnet.address_mode == mode
        if pools:
            assert subnet.pools == pools
        assert cloud.subnets_of(network.id) == [subnet]

    def test_no_port_has_the_address_of_an_ipv6_subnet_itself(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        where = (network.id, created.project.id, "replica", "fd00:77::/64", "fd00:77::")
        pools = (Range("fd00:77::1000", "fd00:77::1fff"),)
        subnet = cloud.create_subnet(*where, pools, False, [], [], "isthmus contract")
        with pytest.raises(Invalid):
            cloud.create_gateway_port(network.id, subnet.id, "fd00:77::", "gateway", "")

    def test_network_with_a_port_is_not_deleted(self, cloud: NetworkCloud, created: Created, host: str) -> None:
        network = created.network()
        port = cloud.create_attachment_port(network.id, host, "attachment", "")
        with pytest.raises(Conflict):
            cloud.delete_network(network.id)
        cloud.delete_port(port.id)
        cloud.delete_network(network.id)
        assert cloud.get_network(network.id) is None

    def test_subnet_in_use_is_not_deleted(self, cloud: NetworkCloud, created: Created) -> None:
        subnet = created.subnet(created.network())
        port = cloud.create_gateway_port(subnet.network_id, subnet.id, "10.77.0.1", "gateway", "")
        with pytest.raises(Conflict):
            cloud.delete_subnet(subnet.id)
        cloud.delete_port(port.id)
        cloud.delete_subnet(subnet.id)
        assert cloud.subnets_of(subnet.network_id) == []

    def test_neutrons_own_ports_are_deleted_with_the_network(self, cloud: NetworkCloud, created: Created) -> None:
        network = created.network()
        created.subnet(network, enable_dhcp=True)
        cloud.delete_network(network.id)
        assert cloud.get_network(network.id) is None
        assert cloud.ports_of(network.id) == []

    def test_remote_ports_have_the_addresses_of_machines(self, cloud: NetworkCloud, created: Created) -> None:
        subnet = created.subnet(created.network())
        wanted = [_machine(subnet, 0x77, "10.77.0.200", "10.77.0.201"), _machine(subnet, 0x78, "10.77.0.11")]
        cloud.create_remote_ports(subnet.network_id, wanted, "isthmus contract")
        ports = {port.mac: port for port in cloud.ports_of(subnet.network_id)}
        assert {mac: {*port.addresses} for mac, port in ports.items()} == {
            port.mac: {address for _, address in port.addresses} for port in wanted
        }, "outside the pools, and inside"
        for port in ports.values():
            assert (port.device_owner, port.project_id) == (REMOTE_DEVICE_OWNER, cloud.own_project_id())
            assert (port.host, port.port_security_enabled, port.description) == ("", False, "isthmus contract")

    def test_remote_ports_form_their_ipv6_addresses_besides(self, cloud: NetworkCloud, created: Created) -> None:
        """Neutron gives a port the address that is formed from its MAC address, and refuses to be asked for it."""
        network = created.network()
        where = (network.id, created.project.id, "replica")
        stateful = cloud.create_subnet(
            *where, "fd00:77::/64", None, (Range("fd00:77::10", "fd00:77::1f"),), True, [], [], "", "dhcpv6-stateful"
        )
        slaac = cloud.create_subnet(*where, "fd00:78::/64", None, (), True, [], [], "", "slaac")
        cloud.create_remote_ports(network.id, [_machine(stateful, 0x77, "fd00:77::ffff")], "")
        (port,) = (p for p in cloud.ports_of(network.id) if p.device_owner == REMOTE_DEVICE_OWNER)
        assert {*port.addresses} == {"fd00:77::ffff", "fd00:78::f816:3eff:fe00:77"}
        with pytest.raises(Conflict):
            cloud.create_remote_ports(network.id, [_machine(slaac, 0x78, "fd00:78::f816:3eff:fe00:78")], "")

    @pytest.mark.parametrize(
        ("mac", "address", "error"),
        [
            (0x77, "10.77.0.202", Conflict),
            (0x79, "10.77.0.200", Conflict),
            (0x79, "10.78.0.1", Invalid),
            (0x79, "10.77.0.255", Invalid),
        ],
    )
    def test_remote_ports_are_created_all_or_none(
        self, cloud: NetworkCloud, created: Created, mac: int, address: str, error: type[ExternalError]
    ) -> None:
        subnet = created.subnet(created.network())
        cloud.create_remote_ports(subnet.network_id, [_machine(subnet, 0x77, "10.77.0.200")], "")
        with pytest.raises(error):
            cloud.create_remote_ports(
                subnet.network_id, [_machine(subnet, 0x80, "10.77.0.210"), _machine(subnet, mac, address)], ""
            )
        (only,) = cloud.ports_of(subnet.network_id)
        assert only.addresses == ("10.77.0.200",)
        with pytest.raises(Conflict):
            cloud.delete_network(subnet.network_id)

    def test_remote_ports_leave_some_of_the_quota(
        self, cloud: NetworkCloud, created: Created, forget_quota: Callable[[str], object]
    ) -> None:
        subnet, own = created.subnet(created.network()), cloud.own_project_id()
        before = cloud.get_quota(own)
        cloud.set_quota(own, replace(before, ports=SPARE_PORTS))
        try:
            with pytest.raises(QuotaExceeded):
                cloud.create_remote_ports(subnet.network_id, [_machine(subnet, 0x77, "10.77.0.200")], "")
        finally:
            forget_quota(own)
        assert cloud.ports_of(subnet.network_id) == []

    def test_security_groups_of_a_project_are_listed(
        self, cloud: NetworkCloud, created: Created, group: Callable[[str], str]
    ) -> None:
        """With names as they are, also if several have the same."""
        created.network()
        ids = {name: {group(name), group(name)} for name in ("web", "two  words")}
        found = [g for g in cloud.security_groups_of(created.project.id) if g.name != "default"]
        assert {name: {g.id for g in found if g.name == name} for name in ids} == ids
        assert len(found) == 4
        assert {(g.project_id, g.stateful) for g in found} == {(created.project.id, True)}
        assert cloud.security_groups_of() == []
        assert cloud.port_groups_of() == {}

    def test_security_group_of_ours_has_exactly_the_given_rules(
        self, cloud: NetworkCloud, created: Created, group: Callable[[str], str]
    ) -> None:
        created.network()
        project, web = created.project.id, group("web")
        cloud.create_security_group(project, "ours", carried_group("cloud-x", 0), stateful=True)

        def ours() -> SecurityGroup:
            (found,) = [g for g in cloud.security_groups_of(project, with_rules=True) if g.name == "ours"]
            return found

        made = ours()
        assert (made.project_id, made.description, made.stateful) == (project, carried_group("cloud-x", 0), True)
        assert {rule.allowed for rule in made.rules or ()} == {AllowedTraffic("egress", 4), AllowedTraffic("egress", 6)}
        wanted = {
            AllowedTraffic("ingress", 4, 6, 22, 23, "192.0.2.0/24"),
            AllowedTraffic("ingress", 6, 17, 53, 53, "2001:db8::/32"),
            AllowedTraffic("ingress", 4, 1, 8),
            AllowedTraffic("ingress", 4, 1, 3, 4),
            AllowedTraffic("ingress", 6, 58, 128, 0),
            AllowedTraffic("ingress", 4, 112),
            AllowedTraffic("ingress", 4, 200),
            AllowedTraffic("egress", 6, remote_group=web),
            AllowedTraffic("ingress", 4, 132, 9, 9, remote_group=made.id),
        }
        cloud.update_security_group(
            made.id, carried_group("cloud-x", 7), [rule.id for rule in made.rules or ()], sorted(wanted, key=repr)
        )
        updated = ours()
        assert {rule.allowed for rule in updated.rules or ()} == wanted
        assert updated.description == carried_group("cloud-x", 7)
        assert (updated.revision or 0) > (made.revision or 0)
        (listed,) = [g for g in cloud.security_groups_of(project) if g.id == made.id]
        assert (listed.rules, listed.revision) == (None, updated.revision)
        cloud.update_security_group(made.id, "", [rule.id for rule in made.rules or ()], [])
        for added, error in ((AllowedTraffic("ingress", 4, 1, 8), Conflict), (_OF_ABSENT, NotFound)):
            with pytest.raises(error):
                cloud.update_security_group(made.id, "", [], [added])
        assert ours().rules == updated.rules
        cloud.update_security_group(made.id, carried_group("cloud-x", 8), [], [])

    def test_remote_ports_are_in_exactly_the_requested_groups(
        self, cloud: NetworkCloud, created: Created, group: Callable[[str], str]
    ) -> None:
        """Of another project than their own, and never in the default group of that by themselves."""
        subnet = created.subnet(created.network())
        web, db = sorted([group("web"), group("db")])
        member = replace(_machine(subnet, 0x77, "10.77.0.200"), groups=(web,))
        other = _machine(subnet, 0x78, "10.77.0.201")
        cloud.create_remote_ports(subnet.network_id, [member, other], "")

        def groups() -> dict[str, tuple[str, ...]]:
            ports = cloud.ports_of(subnet.network_id)
            seen = cloud.port_groups_of(subnet.network_id)
            assert seen == {subnet.network_id: frozenset((port.id, port.groups) for port in ports)}
            assert [port.port_security_enabled for port in ports] == [bool(port.groups) for port in ports]
            return {port.mac: port.groups for port in ports}

        assert groups() == {member.mac: (web,), other.mac: ()}
        ids = {port.mac: port.id for port in cloud.ports_of(subnet.network_id)}
        for wanted in ((web, db), (db,), (), (), (web,)):
            cloud.set_remote_port_groups(ids[other.mac], wanted)
            assert groups() == {member.mac: (web,), other.mac: wanted}
        for port_id, group_id in ((ids[other.mac], ABSENT), (ABSENT, web)):
            with pytest.raises(NotFound):
                cloud.set_remote_port_groups(port_id, [group_id])
        assert groups() == {member.mac: (web,), other.mac: (web,)}

    def test_quotas_are_enforced(self, cloud: NetworkCloud, created: Created) -> None:
        quota = NetworkQuota(networks=1, subnets=1, ports=7)
        assert created.project.id not in cloud.get_quotas()
        cloud.set_quota(created.project.id, quota)
        assert cloud.get_quota(created.project.id) == quota
        assert cloud.get_quotas()[created.project.id] == quota
        network = created.network()
        with pytest.raises(QuotaExceeded):
            created.network()
        created.subnet(network)
        with pytest.raises(QuotaExceeded):
            created.subnet(network, "10.78.0.0/24", None, (Range("10.78.0.5", "10.78.0.9"),))

    def test_project_is_empty(self, cloud: NetworkCloud, created: Created) -> None:
        assert cloud.project_is_empty(created.project.id)
        network = created.network()
        assert not cloud.project_is_empty(created.project.id)
        cloud.delete_network(network.id)
        assert cloud.project_is_empty(created.project.id)
        assert cloud.project_is_empty(uuid.uuid4().hex)
