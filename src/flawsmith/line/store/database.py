"""The database under the results store: opened, migrated, and its errors in the user's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from flawsmith.errors import FlawsmithError, listed
from flawsmith.line.store.tables import REVISIONS, Base

BUSY_SECONDS = 30
"""How long a writer waits for another one before it gives up."""

_MIGRATION_LOCK = 0x666C6177  # PostgreSQL's advisory locks are numbers: "flaw"
_VERSION_TABLE = "alembic_version"


def parse_url(given: str) -> URL:
    """Return the database's URL; what has no ``://`` is the file of an SQLite database.

    Raises:
        FlawsmithError: if it is neither SQLite nor PostgreSQL.
    """
    try:
        url = make_url(given) if "://" in given else URL.create("sqlite", database=given)
    except (ArgumentError, ValueError):
        raise FlawsmithError(_not_a_store("the URL cannot be read")) from None
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise FlawsmithError(_not_a_store(url.render_as_string(hide_password=True)))


def _not_a_store(given: str) -> str:
    return (
        f"no results store: {given}; expected a file such as results.db, or "
        "postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def open_engine(url: URL) -> Engine:
    """Return the engine of a database that is, or is brought, to the newest schema.

    Raises:
        FlawsmithError: if it cannot be reached or made, was written by a newer version, or is
            damaged or no results store.
    """
    if url.get_backend_name() == "sqlite":
        folder = Path(str(url.database)).absolute().parent
        if not folder.is_dir():
            raise FlawsmithError(f"there is no folder {folder} for the results store")
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_connect_args(url))
    except (ModuleNotFoundError, NoSuchModuleError):
        raise FlawsmithError(
            "a results store on PostgreSQL needs the package psycopg; install it with: "
            "pip install 'flawsmith[postgres]'"
        ) from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with told(engine), engine.connect() as connection:
            found = _revision(connection, engine)
        if found != REVISIONS[-1]:
            _upgrade(engine)
        with told(engine), engine.connect() as connection:
            _require_tables(connection, engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def writing(engine: Engine) -> Engine:
    """Return the engine for transactions that write: they wait for each other from the start."""
    return engine.execution_options(writes=True)


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Turn what a database raises into a `FlawsmithError` that names the store and the cause."""
    try:
        yield
    except DBAPIError as error:
        cause = " ".join(str(error.orig).split())
        raise FlawsmithError(f"results store {name_of(engine)}: {cause}{_advice(cause)}") from error
    except (SQLAlchemyError, UnicodeError, JSONDecodeError, ValidationError) as error:
        cause = " ".join(str(error).split())
        raise FlawsmithError(f"results store {name_of(engine)}: {cause}") from error


def name_of(engine: Engine) -> str:
    """Return what a user calls the database; a password is hidden."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    url = engine.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=True)


def _advice(cause: str) -> str:
    known = {
        "not a database": "; this file is something else: give another one",
        "malformed": "; the file is damaged: put back a copy of it, or give another file",
        "is full": "; nothing of this part was stored: make room on the disk",
        "disk I/O error": "; nothing of this part was stored: is the disk full or gone?",
        "database is locked": f"; another process has been writing for {BUSY_SECONDS} s",
        "readonly": "; it cannot be written",
    }
    return next((advice for words, advice in known.items() if words in cause), "")


def _connect_args(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY_SECONDS}
    # A server whose default is "off" would acknowledge before a verdict is on the disk.
    return {"connect_timeout": BUSY_SECONDS, "options": "-c synchronous_commit=on"}


def _set_up_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401 - any DBAPI
    # Python's module would begin transactions on its own, late, and not for every statement.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later could fail in the middle; this one waits.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection, engine: Engine) -> str | None:
    """Return the revision of the schema, None for an empty database."""
    tables = sa.inspect(connection).get_table_names()
    if _VERSION_TABLE not in tables:
        if tables:
            raise FlawsmithError(
                f"{name_of(engine)} is a database, but no results store (it has the tables "
                f"{listed(tables)}); give another one"
            )
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()
    if found not in REVISIONS:
        raise FlawsmithError(
            f"the results store {name_of(engine)} has the schema {found}; this version of "
            f"Flawsmith knows those up to {REVISIONS[-1]}: update Flawsmith, or give another store"
        )
    return str(found)


def _upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, all or nothing."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with told(engine), writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":  # two processes may start on an empty store
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, REVISIONS[-1])
        except CommandError as error:
            raise FlawsmithError(f"results store {name_of(engine)}: {error}") from error


def _require_tables(connection: Connection, engine: Engine) -> None:
    inspector = sa.inspect(connection)
    found = {
        (table, column["name"])
        for table in inspector.get_table_names()
        for column in inspector.get_columns(table)
    }
    tables = Base.metadata.sorted_tables
    missing = [
        f"{t.name}.{c.name}" for t in tables for c in t.columns if (t.name, c.name) not in found
    ]
    if missing:
        raise FlawsmithError(
            f"the results store {name_of(engine)} is damaged: it lacks {listed(missing)}; put back "
            "a copy of it, or give another store"
        )
