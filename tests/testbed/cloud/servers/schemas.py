"""The migrated databases of clouds before the first start, created once and kept in the cache.

Migrating two releases of Keystone and Neutron takes most of a minute; copying the result takes a second. The third
cloud, which few tests need, has a server of its own.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.testbed.assets import Assets
from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.database import Database
from tests.testbed.cloud.servers.keystone import BOOTSTRAP_PASSWORD, Keystone
from tests.testbed.topology import Site

_ARCHIVE: Final = "mariadb.tar"
_REQUIREMENTS: Final = Path(__file__).parents[1] / "openstack"


def ensure(assets: Assets, memory: Path, *sites: Site) -> Path:
    """The archive of the data directory for these clouds, created if it is not in the cache."""
    cache = Cache(assets.root)
    asset = _asset(cache, sites)
    with cache.building(asset) as missing:
        if missing:
            print(f"schemas: migrating databases of {_names(sites)}, usually 0:30 on two cores", flush=True)
            scratch = Path(tempfile.mkdtemp(prefix="isthmus-schemas-", dir=memory))
            try:
                _build(assets, scratch, asset.directory, sites)
            finally:
                shutil.rmtree(scratch)
    return asset.directory / _ARCHIVE


def unpack(archive: Path, database: Database) -> None:
    """Create the data directory of a new server."""
    database.files.mkdir(parents=True)
    subprocess.run(["tar", "-C", database.files, "-xf", archive], check=True)


def _names(sites: Sequence[Site]) -> str:
    return " and ".join(f"cloud {site.name}" for site in sites)


def _asset(cache: Cache, sites: Sequence[Site]) -> Asset:
    own = Path(__file__)
    recipe = [own, own.with_name("database.py"), own.with_name("keystone.py"), *sorted(_REQUIREMENTS.glob("*.txt"))]
    mariadb = subprocess.run(["mariadbd", "--version"], check=True, capture_output=True).stdout
    return cache.asset(
        "-".join(["schemas", *(site.name for site in sites)]), mariadb, *(path.read_bytes() for path in recipe)
    )


def _build(assets: Assets, scratch: Path, target: Path, sites: Sequence[Site]) -> None:
    database = Database(directory=target, data=scratch)
    database.initialise()
    database.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(migrate, site, assets.openstack(site.release), database, target)
                for site in sites
                for migrate in (_migrate_neutron, _migrate_keystone)
            ]
            for job in jobs:
                job.result()
    finally:
        database.stop()
    subprocess.run(["tar", "-C", database.files, "-cf", target / _ARCHIVE, "."], check=True)


def _migrate_neutron(site: Site, environment: Path, database: Database, directory: Path) -> None:
    name = f"neutron_{site.name}"
    database.sql(f"create database {name} character set utf8mb3")
    configuration = directory / f"{name}.conf"
    sections = {"DEFAULT": {"core_plugin": "ml2"}, "database": {"connection": database.url(name)}}
    configuration.write_text(ini.render(sections))
    _run(environment / "bin/neutron-db-manage", configuration, "upgrade", "heads")


def _migrate_keystone(site: Site, environment: Path, database: Database, directory: Path) -> None:
    name = f"keystone_{site.name}"
    database.sql(f"create database {name} character set utf8mb3")
    own = directory / name
    own.mkdir()
    keystone = Keystone(site, environment, own, database.data / name, None, database.url(name))
    keystone.configure()
    manage = environment / "bin/keystone-manage"
    _run(manage, keystone.configuration, "db_sync")
    urls = [f"--bootstrap-{interface}-url={site.auth_url}" for interface in ("admin", "internal", "public")]
    identity = [f"--bootstrap-password={BOOTSTRAP_PASSWORD}", f"--bootstrap-region-id={site.region}"]
    _run(manage, keystone.configuration, "bootstrap", *identity, *urls)


def _run(program: Path, configuration: Path, *arguments: str) -> None:
    done = subprocess.run([program, "--config-file", configuration, *arguments], text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{program.name} {arguments[0]} with {configuration}:\n{done.stderr[-3000:]}")
