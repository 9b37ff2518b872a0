"""Requests to Keystone and Neutron whose order or repetition matters, against a scripted service."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from isthmus.adapters.openstack import api as api_module
from isthmus.adapters.openstack.api import Api
from isthmus.adapters.openstack.identity import Identity
from isthmus.adapters.openstack.networking import Networking
from isthmus.adapters.openstack.securitygroups import SecurityGroups
from isthmus.adapters.openstack.session import Session
from isthmus.model.errors import Conflict, QuotaExceeded, Unavailable
from isthmus.model.facts.openstack import AllowedTraffic, RequestedPort, SecurityGroup
from isthmus.ports.openstack import SPARE_PORTS

Answer = tuple[int, object]


class Service:
    """A service whose answers a function gives; `sent` are method, path, query, body and headers of each request."""

    def __init__(self, answer: Callable[[str, str, Mapping[str, Any], Any], Answer]) -> None:
        self._answer = answer
        self.sent: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []

    def api(self, service: str) -> Api:
        return Api(cast(Session, self), service)

    def adapter(self, _service: str) -> Service:
        return self

    def request(
        self, path: str, method: str, *, params: Mapping[str, Any], json: Any, headers: Mapping[str, str], **_: object
    ) -> Response:
        self.sent.append((method, path))
        self.headers.append(headers)
        return Response(*self._answer(method, path, params, json))


class Response:
    def __init__(self, status_code: int, body: object) -> None:
        self.status_code = status_code
        self.text = json.dumps(body)
        self.content = self.text.encode()

    def json(self) -> Any:
        return json.loads(self.text)


DOMAIN = {"id": "d", "name": "isthmus-cloud-b", "description": "isthmus peer cloud-b", "enabled": True}


@pytest.mark.parametrize("is_used", [False, True])
def test_domain_is_disabled_before_it_is_judged_empty(is_used: bool) -> None:
    """What is created between the two would be deleted with it."""
    created_late: list[object] = []

    def answer(method: str, path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        if method == "PATCH":
            created_late.extend([{"id": "late"}] if is_used and not body["domain"]["enabled"] else [])
            return 200, {"domain": DOMAIN | body["domain"]}
        if path in ("/projects", "/users", "/groups"):
            return 200, {path[1:]: created_late if path == "/groups" else []}
        return (204, {}) if method == "DELETE" else (200, {"domain": DOMAIN})

    service = Service(answer)
    identity = Identity(service.api("identity"))
    if is_used:
        with pytest.raises(Conflict, match="still has groups"):
            identity.delete_domain("d")
    else:
        identity.delete_domain("d")
    lists = [("GET", f"/{collection}") for collection in ("projects", "users", "groups")]
    last = ("PATCH" if is_used else "DELETE", "/domains/d")
    assert service.sent == [("GET", "/domains/d"), ("PATCH", "/domains/d"), *lists, last]


class Keystone:
    """Lists projects in pages of at most `largest`; with `knows_pages` False (before 2025.1) all are one page."""

    def __init__(self, count: int, largest: int, *, knows_pages: bool = True, truncates: bool = False) -> None:
        self._ids = [f"p{number:03}" for number in range(count)]
        self._largest = largest
        self._knows_pages = knows_pages
        self._truncates = truncates

    def __call__(self, _method: str, _path: str, params: Mapping[str, Any], _body: object) -> Answer:
        first = 0
        if self._knows_pages and "marker" in params:
            first = self._ids.index(params["marker"]) + 1
        size = min(int(params["limit"]), self._largest) if self._knows_pages else self._largest
        page = self._ids[first : first + size]
        document = {"projects": [self._project(id_) for id_ in page], "links": {"next": None}}
        return 200, document | ({"truncated": True} if self._truncates else {})

    def _project(self, id_: str) -> dict[str, object]:
        return {"id": id_, "name": id_, "domain_id": "d", "description": "", "enabled": True}


@pytest.mark.parametrize(
    ("keystone", "requests"),
    [
        (Keystone(25, 10), 4),
        (Keystone(30, 10), 4),
        (Keystone(25, 1000), 2),
        (Keystone(25, 1000, knows_pages=False), 2),
        (Keystone(0, 10), 1),
    ],
    ids=["a short last page", "a full last page", "one page", "no pages", "nothing"],
)
def test_list_of_keystone_ends_with_a_page_without_anything_new(keystone: Keystone, requests: int) -> None:
    """`max_db_limit` shortens pages without a word."""
    service = Service(keystone)
    found = Identity(service.api("identity")).projects_of("d")
    assert [project.id for project in found] == keystone._ids
    assert len(service.sent) == requests


def test_list_that_keystone_truncates_and_does_not_continue_is_no_list() -> None:
    service = Service(Keystone(25, 10, knows_pages=False, truncates=True))
    with pytest.raises(Unavailable, match="truncated"):
        Identity(service.api("identity")).projects_of("d")


def test_list_of_neutron_follows_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "_PAGE", 2)
    ids = ["n1", "n2", "n3"]

    def answer(_method: str, _path: str, params: Mapping[str, Any], _body: object) -> Answer:
        first = ids.index(params["marker"]) + 1 if "marker" in params else 0
        page = ids[first : first + int(params["limit"])]
        links = [{"rel": "next"}] if len(page) == int(params["limit"]) else [{"rel": "previous"}]
        networks: Sequence[object] = [{"id": id_, "name": "", "project_id": "p", "mtu": 1400} for id_ in page]
        return 200, {"networks": networks, "networks_links": links}

    service = Service(answer)
    found = Networking(service.api("network"), lambda: "own").networks_of("p")
    assert [network.id for network in found] == ids
    assert len(service.sent) == 2


def test_more_ids_than_an_url_holds_are_asked_in_parts() -> None:
    asked: list[int] = []

    def answer(_method: str, _path: str, params: Mapping[str, Any], _body: object) -> Answer:
        asked.append(len(params["network_id"]))
        return 200, {"ports": []}

    networking = Networking(Service(answer).api("network"), lambda: "own")
    assert networking.ports_of(*map(str, range(250))) == []
    assert asked == [100, 100, 50]
    assert networking.ports_of() == []
    assert len(asked) == 3


def test_changes_carry_the_revision() -> None:
    service = Service(lambda *_: (412, {"NeutronError": {"type": "RevisionNumberConstraintFailed", "message": "5"}}))
    networking = Networking(service.api("network"), lambda: "own")
    with pytest.raises(Conflict):
        networking.update_subnet("s", pools=(), revision=4)
    with pytest.raises(Conflict):
        networking.set_network_mtu("n", 1400, 7)
    with pytest.raises(Conflict):
        networking.set_network_mtu("n", 1400)
    assert service.headers == [{"If-Match": "revision_number=4"}, {"If-Match": "revision_number=7"}, {}]


@pytest.mark.parametrize("kind", ["network", "subnet"])
def test_name_that_the_database_cannot_hold(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """The character set utf8mb3 of older MySQL databases: Neutron answers 500."""

    def answer(_method: str, _path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        document = body[kind]
        if any(ord(c) > 0xFFFF for c in document["name"]):
            return 500, {"NeutronError": {"type": "HTTPInternalServerError", "message": "Request Failed"}}
        return 201, {kind: document | {"id": "n", "allocation_pools": []}}

    service = Service(answer)
    networking = Networking(service.api("network"), lambda: "own")
    if kind == "network":
        network = networking.create_network("p", "web \U0001f680 \u00fc", 1400, "isthmus x")
        assert (network.name, network.description) == ("web \ufffd \u00fc", "isthmus x")
    else:
        subnet = networking.create_subnet("n", "p", "\U0001f680", "10.0.0.0/24", None, (), False, (), (), "isthmus x")
        assert subnet.name == "\ufffd"
    assert len(service.sent) == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Neutron cannot store the name")


def test_failure_that_is_not_about_the_name_is_not_repeated() -> None:
    service = Service(lambda *_: (500, {}))
    with pytest.raises(Unavailable):
        Networking(service.api("network"), lambda: "own").create_network("p", "web", 1400, "")
    assert len(service.sent) == 1


@pytest.mark.parametrize(
    ("details", "is_refused"),
    [
        ({"limit": SPARE_PORTS + 12, "used": 9, "reserved": 1}, False),
        ({"limit": SPARE_PORTS + 11, "used": 9, "reserved": 1}, True),
        ({"limit": -1, "used": 4000}, False),
        (None, False),
    ],
    ids=["room", "too little room", "unlimited", "without the extension"],
)
def test_remote_ports_are_one_request_that_leaves_some_of_the_quota(details: object, is_refused: bool) -> None:
    created: list[dict[str, Any]] = []

    def answer(method: str, path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        if method == "POST":
            created.extend(body["ports"])
            return 201, {"ports": []}
        if path == "/qos/policies":
            return 200, {"policies": [{"id": "empty"}]}
        assert path == "/quotas/own/details"
        return (404, {}) if details is None else (200, {"quota": {"port": details}})

    networking = Networking(Service(answer).api("network"), lambda: "own")
    ports = [
        RequestedPort("one", "fa:16:3e:00:00:01", (("s", "10.0.0.5"),)),
        RequestedPort("two", "fa:16:3e:00:00:02", ()),
    ]
    if is_refused:
        with pytest.raises(QuotaExceeded, match="has 10 ports of a quota of 61"):
            networking.create_remote_ports("n", ports, "isthmus x")
        assert created == []
        return
    networking.create_remote_ports("n", ports, "isthmus x")
    assert [port["name"] for port in created] == ["one", "two"]
    assert created[0] == {
        "network_id": "n",
        "project_id": "own",
        "name": "one",
        "description": "isthmus x",
        "port_security_enabled": False,
        "security_groups": [],
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.5"}],
        "device_owner": "isthmus:remote",
        "binding:vnic_type": "baremetal",
        "qos_policy_id": "empty",
    }


@pytest.mark.parametrize("status", [403, 404, 409])
def test_reserved_address_needs_no_qos_policy(status: int) -> None:
    """Neutron without the extension, or one that refuses it."""
    created: list[dict[str, Any]] = []

    def answer(method: str, path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        if path == "/qos/policies":
            return (200, {"policies": []}) if method == "GET" and status == 403 else (status, {})
        created.append(body["port"])
        return 201, {"port": {**body["port"], "id": "p"}}

    networking = Networking(Service(answer).api("network"), lambda: "own")
    assert networking.create_gateway_port("n", "s", "10.0.0.1", "gateway", "isthmus x").addresses == ("10.0.0.1",)
    assert ["qos_policy_id" in port for port in created] == [False]


def test_remote_port_always_says_which_groups_it_is_in() -> None:
    """Without a list Neutron takes the default group of our project; it refuses groups without port security."""
    sent: list[Any] = []

    def answer(method: str, path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        sent.extend(body["ports"] if method == "POST" else [body["port"]] if body else [])
        return (404, {}) if path.startswith(("/quotas", "/qos")) else (200, {})

    networking = Networking(Service(answer).api("network"), lambda: "own")
    machines = [RequestedPort(name, "fa:16:3e:00:00:01", (), groups) for name, groups in (("a", ("g1",)), ("b", ()))]
    networking.create_remote_ports("n", machines, "isthmus x")
    networking.set_remote_port_groups("p", ("g1", "g2"))
    networking.set_remote_port_groups("p", ())
    fields = ("security_groups", "port_security_enabled")
    assert [tuple(port[name] for name in fields) for port in sent] == [
        (["g1"], True),
        ([], False),
        (["g1", "g2"], True),
        ([], False),
    ]


def test_rules_of_a_security_group_go_before_others_come() -> None:
    """Killed in between, it allows less; the description, which says that all is done, is last."""
    requests: list[Any] = []

    def answer(method: str, path: str, _params: Mapping[str, Any], body: Any) -> Answer:
        requests.append((method, path, body))
        return 200, {"security_group": {"project_id": "p1"}}

    groups = SecurityGroups(Service(answer).api("network"))
    groups.update_security_group("g1", "done", ["r1", "r2"], [AllowedTraffic("ingress", 4)])
    assert [(method, path) for method, path, _ in requests] == [
        ("DELETE", "/security-group-rules/r1"),
        ("DELETE", "/security-group-rules/r2"),
        ("GET", "/security-groups/g1"),
        ("POST", "/security-group-rules"),
        ("PUT", "/security-groups/g1"),
    ]
    (rule,) = requests[3][2]["security_group_rules"]
    assert (rule["project_id"], rule["security_group_id"]) == ("p1", "g1")
    assert requests[4][2] == {"security_group": {"description": "done"}}


def test_security_groups_are_those_of_the_projects_with_their_names_as_they_are() -> None:
    listed = [
        {"id": "g1", "name": "w\u202eeb ", "project_id": "p1", "stateful": False},
        {"id": "g2", "name": "web", "project_id": "shared-by-another", "stateful": True},
    ]

    def answer(_method: str, path: str, params: Mapping[str, Any], _body: Any) -> Answer:
        assert (path, params["project_id"]) == ("/security-groups", ("p1",))
        return 200, {"security_groups": listed}

    groups = SecurityGroups(Service(answer).api("network"))
    assert groups.security_groups_of("p1") == [SecurityGroup("g1", "w\u202eeb ", "p1", stateful=False)]
    without = SecurityGroups(Service(lambda *_: (404, {})).api("network"))
    assert without.security_groups_of("p1") == []


def test_qos_policy_of_several_threads_is_created_once() -> None:
    """And of two with its name, which another process may have left, it is always the same one."""
    policies: list[dict[str, Any]] = []
    ports: dict[str, str] = {}

    def answer(method: str, path: str, query: Mapping[str, Any], body: Any) -> Answer:
        if method == "PUT":
            ports[path] = body["port"]["qos_policy_id"]
            return 200, body
        if method == "POST":
            policies.append(body["policy"] | {"id": "p7"})
            return 201, {"policy": policies[-1]}
        assert (query["name"], query["project_id"]) == ("isthmus", "own")
        return 200, {"policies": [{"id": policy["id"]} for policy in policies]}

    networking = Networking(Service(answer).api("network"), lambda: "own")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(networking.set_empty_qos_policy, ["a", "b", "c", "d"]))
    assert [policy["name"] for policy in policies] == ["isthmus"]
    assert policies[0]["shared"] is False
    policies.insert(0, {"id": "p9"})
    networking.set_empty_qos_policy("e")
    assert ports == {f"/ports/{name}": "p7" for name in "abcde"}
