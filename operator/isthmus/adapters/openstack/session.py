"""The connection to this cloud's own OpenStack, by an entry of a clouds file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from isthmus.model.errors import Invalid

from .translation import translated

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter
    from openstack.connection import Connection

_TIMEOUT_SECONDS: Final = 30
_SERVICES: Final = ("identity", "network")
_MAX_NAMED: Final = 10


class Session:
    """Connects when it is first needed, and again when the clouds file has changed.

    Raises Invalid, with file and entry, where the file does not describe exactly one cloud and region.
    """

    def __init__(self, clouds_file: str, cloud: str) -> None:
        self._file = Path(clouds_file)
        self._cloud = cloud
        self._connection: Connection | None = None
        self._version: object = None

    @property
    def name(self) -> str:
        """The entry, for messages."""
        return f"clouds file {self._file}, entry {self._cloud}"

    def own_project_id(self) -> str:
        """The project of the credential."""
        connection = self._connected()
        with translated("identity"):
            project_id = connection.session.get_project_id()
        if not project_id:
            raise self._invalid("is not scoped to a project")
        return str(project_id)

    def service_types(self) -> frozenset[str]:
        """The types of all services in the catalogue."""
        from keystoneauth1.identity.base import BaseIdentityPlugin

        connection = self._connected()
        auth = connection.session.auth
        with translated("identity"):
            access = auth.get_access(connection.session) if isinstance(auth, BaseIdentityPlugin) else None
        return frozenset(str(entry["type"]) for entry in (access.service_catalog.catalog or () if access else ()))

    def adapter(self, service: str) -> Adapter:
        """Requests to a service by the SDK's name of it: `network`, `identity`."""
        connection = self._connected()
        with translated(service):  # the SDK asks the service for its versions
            adapter: Adapter = getattr(connection, service)
        return adapter

    def _connected(self) -> Connection:
        version = _version(self._file)
        if self._connection is None or version not in (None, self._version):
            connection = self._connect()
            self._require_one_region(connection)
            self._connection, self._version = connection, version
        return self._connection

    def _connect(self) -> Connection:
        """Nothing is sent yet."""
        from keystoneauth1.exceptions import ClientException
        from openstack.config import OpenStackConfig  # imported late: takes 0.5 s
        from openstack.connection import Connection
        from openstack.exceptions import ConfigException

        self._check_entry()
        try:
            config = OpenStackConfig(
                config_files=[str(self._file)], secure_files=[], vendor_files=[], load_envvars=False
            )
            return Connection(config=config.get_one(cloud=self._cloud, api_timeout=_TIMEOUT_SECONDS))
        # The last of them where there is no mapping.
        except (ConfigException, ClientException, OSError, ValueError, TypeError, AttributeError) as error:
            raise self._invalid(str(error)) from error

    def _check_entry(self) -> None:
        """What the SDK would say without naming the file, or decide by itself."""
        clouds = self._clouds()
        entry = clouds.get(self._cloud)
        if not isinstance(entry, Mapping):
            raise self._invalid(f"there is no such entry; the file has {_listed(clouds) or 'none'}")
        if not isinstance(entry.get("auth") or {}, Mapping):
            raise self._invalid("`auth` is no mapping")
        regions = entry.get("regions")
        if isinstance(regions, list) and len(regions) > 1 and not entry.get("region_name"):
            names = [region.get("name") if isinstance(region, Mapping) else region for region in regions]
            raise self._invalid(f"several regions are listed ({_listed(names)}): set region_name to one of them")

    def _clouds(self) -> Mapping[Any, Any]:
        try:
            document = yaml.safe_load(self._file.read_bytes())
        except OSError as error:
            raise self._invalid(f"the file cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, ValueError):  # its text may quote a password
            raise self._invalid("the file is not valid YAML") from None
        clouds = document.get("clouds") if isinstance(document, Mapping) else None
        if not isinstance(clouds, Mapping):
            raise self._invalid("the file has no mapping `clouds`")
        return clouds

    def _require_one_region(self, connection: Connection) -> None:
        """Without a region's name the SDK would take the first endpoint that the catalogue has."""
        from keystoneauth1.identity.base import BaseIdentityPlugin

        auth = connection.session.auth
        if connection.config.region_name or not isinstance(auth, BaseIdentityPlugin):  # others have no catalogue
            return
        with translated("identity"):
            catalogue = auth.get_access(connection.session).service_catalog
        for service in _SERVICES:
            interface = connection.config.get_interface(service)
            found = catalogue.get_endpoints_data(service_type=service, interface=interface)
            names = {endpoint.region_name for endpoints in found.values() for endpoint in endpoints}
            if len(names) > 1:
                said = f"the catalogue has {service} endpoints in several regions ({_listed(names)})"
                raise self._invalid(f"{said}: set region_name to one of them")

    def _invalid(self, what: str) -> Invalid:
        return Invalid(f"{self.name}: {what}")


def _version(file: Path) -> object:
    """Changes whenever the file may have changed; None while there is no file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _listed(names: Any) -> str:
    return ", ".join(sorted(str(name)[:64] for name in names)[:_MAX_NAMED])
