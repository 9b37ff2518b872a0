"""`isthmus peer-kubeconfig`: the kubeconfig that is handed to a peer."""

import base64
from typing import Any

import pytest
import yaml

from isthmus.cli.handover import kubeconfig_for
from isthmus.model.errors import NotFound


class _Secrets:
    """A cluster with only the call that the command makes."""

    def __init__(self, data: dict[str, str] | None) -> None:
        self._data = data

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Any:
        assert (api_version, kind, name, namespace) == ("v1", "Secret", "peer-token", "isthmus-peer-cloud-b")
        return None if self._data is None else {"data": self._data}


def test_kubeconfig_contains_server_authority_and_token() -> None:
    data = {"token": base64.b64encode(b"a-token").decode(), "ca.crt": "Y2E="}
    text = kubeconfig_for(_Secrets(data), "cloud-b", "https://192.0.2.10:6443")  # type: ignore[arg-type]
    document = yaml.safe_load(text)
    assert document["clusters"][0]["cluster"] == {
        "server": "https://192.0.2.10:6443",
        "certificate-authority-data": "Y2E=",
    }
    assert document["users"][0]["user"] == {"token": "a-token"}
    assert document["contexts"][0]["context"]["namespace"] == "isthmus-peer-cloud-b"


@pytest.mark.parametrize("data", [None, {}])
def test_missing_token_is_explained(data: dict[str, str] | None) -> None:
    with pytest.raises(NotFound, match="apply a CloudPeer for cloud cloud-b first"):
        kubeconfig_for(_Secrets(data), "cloud-b", "https://192.0.2.10:6443")  # type: ignore[arg-type]
