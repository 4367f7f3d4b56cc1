"""Schemas of the results store: upgraded, newer, damaged."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import ImageInspection, PartVerdict, Verdict
from flawsmith.line.store import Store, database
from flawsmith.line.store.tables import REVISIONS, Base

MIGRATIONS = Path(database.__file__).parent / "migrations"

PART_OF_0001 = """
INSERT INTO parts (id, key, part, verdict, reasons, hidden, rules, code_version, started_at,
                   finished_at, seconds)
VALUES (1, 'k', 'old', 'PASS', '[]', '["a speck"]', 'r', '0.1.0', '2024-03-01 12:00:00',
        '2024-03-01 12:00:01', 1.0)
"""
IMAGE_OF_0001 = """
INSERT INTO images (part_id, position, path, view, sha256, model, width, height, warnings,
                    seconds)
VALUES (1, 0, 'a.png', '', 'abc', 'm', 4, 3, '[]', '{}')
"""


@pytest.fixture
def engine(url):
    made = sa.create_engine(database.parse_url(url))
    yield made
    made.dispose()


def execute(engine, *statements):
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def make_first(engine):
    """Make a store as the first version did, with one part in it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    execute(engine, PART_OF_0001, IMAGE_OF_0001, "UPDATE counters SET value = 1")


def test_a_store_of_the_first_version_is_upgraded(url, engine):
    make_first(engine)
    with Store(url) as store:
        old = store.get(1)
        assert (old.verdict.part, old.verdict.hidden, old.audited) == ("old", ["a speck"], False)
        assert store.handled("a.png", "abc")
        new = PartVerdict(part="new", verdict=Verdict.PASS)
        image = ImageInspection(image="b.png", part="new")
        assert store.record(new, [image], audit_rate=0.5, sinks=["file"]) == 2


def test_an_upgrade_that_fails_leaves_the_old_store(url, engine, monkeypatch):
    make_first(engine)
    execute(engine, "CREATE TABLE deliveries (id INTEGER)")  # the second half cannot be made
    with pytest.raises(FlawsmithError, match="deliveries"):
        Store(url)
    with engine.connect() as connection:
        assert "audit" not in sa.inspect(connection).get_table_names()
    execute(engine, "DROP TABLE deliveries")
    with Store(url) as store:
        assert store.get(1).verdict.part == "old"


def test_a_newer_store_is_refused_untouched(url, engine):
    Store(url).close()
    execute(engine, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FlawsmithError, match=r"schema 9999.*up to 0005: update Flawsmith"):
        Store(url)
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    assert found == "9999"


def test_a_damaged_store_is_told(url, engine):
    Store(url).close()
    execute(engine, "ALTER TABLE reviews DROP COLUMN person", "DROP TABLE audit")
    with pytest.raises(FlawsmithError, match=r"damaged: it lacks .*audit.part_id"):
        Store(url)


def test_a_row_that_cannot_be_read_is_told(url, engine):
    with Store(url) as store:
        image = ImageInspection(image="b.png", part="new")
        store.record(PartVerdict(part="new", verdict=Verdict.PASS), [image])
        execute(engine, """UPDATE parts SET reasons = '["nonsense"]'""")
        with pytest.raises(FlawsmithError, match="results store"):
            store.get(1)


def test_an_sqlite_file_with_overwritten_pages_is_told(tmp_path):
    path = tmp_path / "a.db"
    Store(str(path)).close()
    content = bytearray(path.read_bytes())
    content[2000:] = b"\x55" * (len(content) - 2000)
    path.write_bytes(content)
    with pytest.raises(FlawsmithError, match=r"malformed|damaged"):
        Store(str(path))


def test_tables_are_what_the_migrations_make(url, engine):
    Store(url).close()
    with engine.connect() as connection:
        # SQLite has one name for several types.
        options = {"compare_type": engine.dialect.name != "sqlite"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_every_migration_is_listed():
    script = ScriptDirectory(str(MIGRATIONS))
    assert tuple(r.revision for r in script.walk_revisions())[::-1] == REVISIONS


def test_opening_a_store_of_today_does_not_load_alembic(tmp_path):
    Store(str(tmp_path / "a.db")).close()
    code = (
        "import sys; from flawsmith.line.store import Store; Store(sys.argv[1]).close(); "
        "print('alembic' in sys.modules, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
