"""A cloud's Keystone under uwsgi."""

import base64
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.daemon import await_server
from tests.testbed.host import process
from tests.testbed.topology import KEYSTONE_PORT, Site

BOOTSTRAP_PASSWORD = "bootstrap"


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    try:
        urllib.request.urlopen(url, timeout=2.0).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def uwsgi(environment: Path, address: object, port: int, *application: str) -> list[str]:
    """The command of an API server: Debian's uwsgi with a virtual environment, one process, four threads."""
    return [
        *["uwsgi-core", "--plugin", "python3", "--virtualenv", str(environment), *application],
        *["--http-socket", f"{address}:{port}", "--master", "--processes", "1", "--threads", "4"],
        *["--enable-threads", "--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535"],
        # uwsgi closes connections that clients expect to be kept alive: announce it in every response.
        *["--add-header", "Connection: close", "--disable-logging"],
    ]


@dataclass(frozen=True)
class Keystone:
    """One server; `data` contains its token keys, which are new in every lab."""

    site: Site
    environment: Path
    directory: Path
    data: Path
    netns: str | None
    database_url: str

    @property
    def configuration(self) -> Path:
        """Its configuration file."""
        return self.directory / "keystone.conf"

    def configure(self) -> None:
        """Write the configuration and new keys."""
        self.configuration.write_text(ini.render(self._sections()))
        for repository in ("fernet", "credential"):
            keys = self.data / repository
            keys.mkdir(parents=True, mode=0o700)
            for number in ("0", "1"):
                (keys / number).write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))

    def start(self) -> None:
        """Start the server and wait for its answer."""
        module = self.environment / "lib/python3.11/site-packages/keystone/wsgi/api.py"
        script = self.environment / "bin/keystone-wsgi-public"
        application = ["--module", "keystone.wsgi.api:application"] if module.exists() else ["--wsgi-file", str(script)]
        process.spawn(
            uwsgi(self.environment, self.site.server_address.ip, KEYSTONE_PORT, *application),
            name="keystone",
            directory=self.directory,
            netns=self.netns,
            env={
                "OS_KEYSTONE_CONFIG_FILES": str(self.configuration),
                "OS_KEYSTONE_CONFIG_DIR": str(self.directory),
                "TMPDIR": str(self.data),
            },
        )
        await_server(self.directory, "keystone", lambda: answers(self.site.auth_url))

    def _sections(self) -> ini.Sections:
        return {
            "DEFAULT": {"use_stderr": True, "public_endpoint": self.site.auth_url.removesuffix("/v3")},
            "database": {"connection": self.database_url, "max_pool_size": 5},
            "token": {"provider": "fernet", "expiration": 86400},
            "fernet_tokens": {"key_repository": self.data / "fernet"},
            "fernet_receipts": {"key_repository": self.data / "fernet"},
            "credential": {"key_repository": self.data / "credential"},
            # Without a cache each request takes a quarter of a second; coherent because there is one process.
            "cache": {"enabled": True, "backend": "oslo_cache.dict"},
            # Production clouds use far more rounds; here logins would dominate the run time.
            "identity": {"password_hash_rounds": 4},
            "oslo_policy": {"enforce_scope": True, "enforce_new_defaults": True},
        }
