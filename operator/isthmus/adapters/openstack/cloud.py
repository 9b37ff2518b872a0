"""`ports.NetworkCloud`: Keystone and Neutron in one class."""

from __future__ import annotations

import threading

from isthmus.model.errors import ExternalError

from .api import Api
from .identity import Identity
from .networking import Networking
from .securitygroups import SecurityGroups
from .session import Session


class OpenStackCloud(Identity, Networking, SecurityGroups):
    """This cloud, with the operator's credential. Connects at the first call."""

    def __init__(self, clouds_file: str, cloud: str) -> None:
        self._session = Session(clouds_file, cloud)
        Identity.__init__(self, Api(self._session, "identity"))
        network = Api(self._session, "network")
        Networking.__init__(self, network, self._session.own_project_id)
        SecurityGroups.__init__(self, network)
        # Listing the security groups of a deleted project would have Neutron create a default one for it, so no thread
        # may look into a project while another one deletes it.
        self._project_lock = threading.Lock()

    def check(self) -> None:
        try:
            self.get_project(self.own_project_id())
            self.require_networking()
        except ExternalError as error:
            name = self._session.name
            raise type(error)(str(error) if name in str(error) else f"{name}: {error}") from error

    def own_project_id(self) -> str:
        return self._session.own_project_id()

    def unseen_services(self) -> tuple[str, ...]:
        return tuple(sorted(self._session.service_types() - {"identity", "network"}))

    def delete_project(self, project_id: str) -> None:
        with self._project_lock:
            if self.get_project(project_id) is not None:
                self.delete_project_defaults(project_id)
                super().delete_project(project_id)

    def project_is_empty(self, project_id: str) -> bool:
        with self._project_lock:
            return self.get_project(project_id) is None or super().project_is_empty(project_id)
