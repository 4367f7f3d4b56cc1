"""A PostgreSQL server of the tests' own, and a store on each kind of database."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest


def _program(name: str) -> str | None:
    # Debian keeps them out of the path.
    places = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return shutil.which(name) or (places[-1] if places else None)


def _server_user() -> str | None:
    """Return the user to run the server as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@pytest.fixture(scope="session")
def postgres_server():
    """Start a server that listens on a socket file alone; yield its host folder and its user."""
    initdb, postgres, user = _program("initdb"), _program("postgres"), _server_user()
    if not (initdb and postgres and user):
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="flawsmith-pg-"))  # a socket's path is short
    shutil.chown(folder, user)
    who = {"user": user} if os.geteuid() == 0 else {}
    quiet = {"stdout": subprocess.DEVNULL, "cwd": folder, "check": True, "timeout": 120}
    data = folder / "data"
    server = None
    try:
        subprocess.run([initdb, "-D", data, "-A", "trust", "-U", "tester", "-N"], **quiet, **who)
        log = (folder / "log").open("wb")
        options = ["-c", "listen_addresses=", "-k", str(folder), "-c", "fsync=off"]
        server = subprocess.Popen([postgres, "-D", data, *options], stderr=log, cwd=folder, **who)
        _wait_until_ready(folder, server)
        yield folder
    finally:
        if server:
            server.send_signal(signal.SIGINT)  # does not wait for its clients
            server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(folder: Path, server: subprocess.Popen) -> None:
    import time

    import psycopg

    for _ in range(300):
        try:
            psycopg.connect(f"host={folder} user=tester dbname=postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        else:
            return
    pytest.fail((folder / "log").read_text())


@pytest.fixture
def postgres_url(postgres_server: Path, request: pytest.FixtureRequest) -> str:
    """Make an empty database; return its URL."""
    import psycopg

    name = f"t{abs(hash(request.node.nodeid))}"
    where = f"host={postgres_server} user=tester dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@/{name}?host={postgres_server}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty results store, on both databases in turn."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return str(tmp_path / "results.db")
