"""MariaDB of a lab: a Unix socket, no network, data in memory."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.cloud.servers.daemon import await_server
from tests.testbed.host import process

# No durability, small pools: a testbed may lose its data.
_OPTIONS: Final = (
    "--no-defaults",
    "--user=root",
    "--skip-networking",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=96M",
    "--innodb-log-file-size=16M",
    "--sync-frm=0",
    "--max-connections=400",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--table-open-cache=2000",
    "--open-files-limit=8192",
)


@dataclass(frozen=True)
class Database:
    """One server; `data` should be in memory: on a disk every schema change waits for it."""

    directory: Path
    data: Path
    netns: str | None = None

    @property
    def socket(self) -> Path:
        """Unix socket of the server."""
        return self.data / "mariadb.sock"

    @property
    def files(self) -> Path:
        """Files to copy into a template."""
        return self.data / "mariadb"

    def url(self, database: str) -> str:
        """SQLAlchemy URL of one database."""
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={self.socket}&charset=utf8mb4"

    def initialise(self) -> None:
        """Create an empty data directory."""
        self.files.mkdir(parents=True)
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={self.files}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start the server and wait for its answer."""
        process.spawn(
            ["mariadbd", *_OPTIONS, f"--datadir={self.files}", f"--socket={self.socket}"],
            name="mariadb",
            directory=self.directory,
            netns=self.netns,
        )
        await_server(self.directory, "mariadb", self._answers)

    def stop(self) -> None:
        """Stop the server cleanly, so that its files are consistent."""
        process.stop(self.directory, "mariadb", grace_seconds=30)

    def sql(self, statements: str) -> None:
        """Run statements as the administrator."""
        subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", f"--socket={self.socket}", "-e", statements],
            check=True,
            capture_output=True,
        )

    def _answers(self) -> bool:
        ping = ["mariadb-admin", "--no-defaults", "-uroot", f"--socket={self.socket}", "ping"]
        return subprocess.run(ping, capture_output=True).returncode == 0
