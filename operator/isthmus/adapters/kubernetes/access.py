"""How to reach our own API server: kubeconfigs and pods' service accounts, loaded by the official client.

Where that client differs from kubectl, this module corrects it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Final

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, incluster_config
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
from yaml import YAMLError

from isthmus.model.errors import Forbidden, Invalid

_LOADING: Final = Lock()  # the client reuses a temporary file of the same content, also in another thread
_MEMORY: Final = "/dev/shm"  # noqa: S108 # a private directory in it holds client keys, which then reach no disk


@dataclass(frozen=True)
class Access:
    """The address of an API server, and the credential for it."""

    configuration: Configuration
    tls: ssl.SSLContext
    """With the CA certificates, the client certificate and the server's name of the kubeconfig."""
    token_file: Path | None = None

    def authorization(self) -> str | None:
        """The value of the Authorization header for a request that is sent now; None with a client certificate.

        Reads the token file, and asks an exec plugin again shortly before its token expires. Raises Forbidden if
        there is no usable token.
        """
        try:
            value = self._authorization()
        except OSError as error:
            raise Forbidden(f"cannot read the token file: {error}") from error
        scheme, _, credential = (value or "").strip().partition(" ")
        credential = credential.strip()
        if value and not (credential.isascii() and credential.isprintable() and credential.split() == [credential]):
            raise Forbidden(f"{self.token_file or 'kubeconfig'} does not contain a valid token")
        return f"{scheme} {credential}" if value else None

    def _authorization(self) -> str | None:
        if self.token_file:
            return f"Bearer {self.token_file.read_text()}"
        value: str | None = self.configuration.get_api_key_with_prefix("BearerToken")
        return value


def require(kubeconfig: str | None) -> None:
    """Raise Invalid if there is nothing to load, so that a wrong path is reported when the process starts."""
    if kubeconfig is None:
        if not os.environ.get(incluster_config.SERVICE_HOST_ENV_NAME):
            raise Invalid("kubeconfig: not set, and this process does not run in a pod")
    elif not any(Path(path).expanduser().is_file() for path in kubeconfig.split(":")):
        raise Invalid(f"kubeconfig: no such file: {kubeconfig}")


def load(kubeconfig: str | None) -> Access:
    """Load a kubeconfig (one path, or several separated by `:`), or the pod's service account for None.

    Runs the exec plugin of the kubeconfig, if it has one. Raises Invalid for a kubeconfig that cannot be used, and
    Forbidden for one that yields no credential.
    """
    with _LOADING, _translated(), TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as directory:
        configuration = Configuration(host="")
        configuration.proxy = configuration.no_proxy = None  # the client took them from the environment
        configuration.retries = False  # by default urllib3 tries four times, each with the full time-out
        token_file = _kubeconfig(kubeconfig, configuration, directory) if kubeconfig else _pod(configuration)
        if not configuration.host.startswith(("https://", "http://")):
            raise Invalid("kubeconfig: the cluster's server must be an https:// URL")
        if not (token_file or configuration.api_key or configuration.cert_file):
            raise Forbidden("kubeconfig: the user has no token and no client certificate, or its exec plugin failed")
        return _access(configuration, token_file)


def _kubeconfig(paths: str, configuration: Configuration, directory: str) -> Path | None:
    """Fill in the configuration; returns the path of the token file, if the user has one."""
    files = KubeConfigMerger(paths)
    named = (each.get("current-context") for each in files.config_files.values())
    context = next(filter(None, named), None)  # the first one, as in kubectl; the client would use the last
    # config_base_path=None: relative paths start at the directory of the kubeconfig that contains them.
    loader = KubeConfigLoader(files.config, context, config_base_path=None, temp_file_path=directory)
    loader.load_and_set(configuration)
    user = files.config["users"].get_with_name(loader.current_context["context"]["user"])["user"]
    if user.safe_get("as"):  # the client ignores it, and would act with the rights of the user itself
        raise Invalid("kubeconfig: impersonation (as) is not supported")
    token_file = user.safe_get("tokenFile")
    return Path(user.path).absolute().parent / token_file if token_file else None


def _pod(configuration: Configuration) -> Path:
    incluster_config.load_incluster_config(configuration, try_refresh_token=False)
    return Path(incluster_config.SERVICE_TOKEN_FILENAME)


def _access(configuration: Configuration, token_file: Path | None) -> Access:
    """Read into memory what is in files: the temporary ones are deleted afterwards."""
    access = Access(configuration, _tls(configuration), token_file)
    configuration.ssl_ca_cert = configuration.cert_file = configuration.key_file = None
    return access


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = _NamedServerContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = configuration.tls_server_name
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    else:
        context.load_default_certs()
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        # Without a password argument OpenSSL would ask for one on the terminal.
        context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
    return context


class _NamedServerContext(ssl.SSLContext):
    """Expects `tls-server-name` of a kubeconfig in the server's certificate, for clients without a setting for it."""

    server_name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Called by asyncio for a connection to `server_hostname`."""
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name or server_hostname, session)


@contextmanager
def _translated() -> Iterator[None]:
    """Keep credentials out of messages: the client's errors quote kubeconfig entries, YAML errors quote lines."""
    try:
        yield
    except (ConfigException, OSError) as error:
        raise Invalid(f"kubeconfig: {str(error).partition('{')[0]}") from None
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"kubeconfig: invalid ({type(error).__name__})") from None
