"""The queue's tables are made once, brought up to date, and never used by another version."""

from __future__ import annotations

import re

import psycopg
import pytest

from mapillary_crawler.workers import schema
from mapillary_crawler.workers.database import QueueRefused, connected
from mapillary_crawler.workers.dsn import Dsn, read_dsn
from tests.workers.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.long


def dsn(address: str) -> Dsn:
    return read_dsn({"MAPILLARY_QUEUE": address})


def test_it_is_made_once_and_again_changes_nothing(queue_address: str) -> None:
    with connected(dsn(queue_address)) as queue:
        with pytest.raises(QueueRefused, match=r"no tables yet.* queue init"):
            schema.check(queue)
        assert schema.init(queue) == "the queue is ready (schema 1)"
        queue.execute("INSERT INTO halt (username, machine, reason) VALUES ('a', 'b', 'c')")
        assert schema.init(queue) == "the queue was ready (schema 1)"
        schema.check(queue)
        assert queue.execute("SELECT username FROM halt").fetchone() == ("a",)


def test_all_of_it_lies_in_a_schema_of_its_own(queue_address: str) -> None:
    with connected(dsn(queue_address)) as queue:
        schema.init(queue)
        found = queue.execute(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ 'procrastinate|brake'"
        ).fetchall()
    assert found == [("mapillary_crawler",)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE schema_version SET version = 2", "are newer .schema 2, .* install the version"),
        ("UPDATE schema_version SET procrastinate = '99.00_x'", "are newer .schema 1, procra"),
        ("UPDATE schema_version SET version = 0", "are older .schema 0, .* queue init"),
    ],
)
def test_another_version_is_refused(queue_address: str, change: str, said: str) -> None:
    with connected(dsn(queue_address)) as queue:
        schema.init(queue)
        queue.execute(change.encode())
        with pytest.raises(QueueRefused) as refused:
            schema.check(queue)
        assert re.search(said, str(refused.value))
        if "newer" in said:
            with pytest.raises(QueueRefused, match="are newer"):
                schema.init(queue)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM schema_version",
        "DROP TABLE schema_version",
        "DROP SCHEMA mapillary_crawler CASCADE; CREATE SCHEMA mapillary_crawler; "
        "CREATE TYPE mapillary_crawler.procrastinate_job_status AS ENUM ()",
    ],
)
def test_what_is_not_as_this_program_makes_it_is_to_be_dropped(
    queue_address: str, change: str
) -> None:
    said = (
        r"the schema mapillary_crawler is there, but not as this program makes it; drop it "
        r"\(DROP SCHEMA mapillary_crawler CASCADE\) and run .* queue init$"
    )
    with connected(dsn(queue_address)) as queue:
        schema.init(queue)
        queue.execute(change.encode())
        with pytest.raises(QueueRefused, match=said):
            schema.check(queue)
        with pytest.raises(QueueRefused, match=said):
            schema.init(queue)
        queue.execute("DROP SCHEMA mapillary_crawler CASCADE")
        assert schema.init(queue) == "the queue is ready (schema 1)"
        schema.check(queue)


def test_an_empty_schema_that_somebody_has_made_for_it_is_used(queue_address: str) -> None:
    with connected(dsn(queue_address)) as queue:
        queue.execute("CREATE SCHEMA mapillary_crawler")
        queue.execute(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA mapillary_crawler GRANT SELECT ON TABLES TO public"
        )
        with pytest.raises(QueueRefused, match="no tables yet"):
            schema.check(queue)
        assert schema.init(queue) == "the queue is ready (schema 1)"


def test_who_may_not_look_into_the_schema_is_not_told_to_drop_it(queue_address: str) -> None:
    with connected(dsn(queue_address)) as queue:
        schema.init(queue)
        queue.execute("SET ROLE pg_read_all_settings")
        with pytest.raises(QueueRefused, match="no tables yet"):
            schema.check(queue)


def test_tables_of_an_older_procrastinate_are_brought_up_to_date(queue_address: str) -> None:
    """Made by all of procrastinate's changes but the newest one, as its version before has it."""
    newest = schema._migrations()[-1]
    with connected(dsn(queue_address)) as queue:
        queue.execute(b"CREATE SCHEMA mapillary_crawler")
        for migration in schema._migrations()[:-1]:
            queue.execute(migration.read_bytes())
        queue.execute(schema._TABLES.encode())
        queue.execute(schema._BESIDE.encode())
        before = schema._migrations()[-2].stem
        queue.execute("INSERT INTO schema_version VALUES (%s, %s)", (schema.VERSION, before))
        with pytest.raises(QueueRefused, match="are older"):
            schema.check(queue)
        assert schema.init(queue) == "the queue is up to date (schema 1)"
        schema.check(queue)
        row = queue.execute("SELECT procrastinate FROM schema_version").fetchone()
    assert row == (newest.stem,)


def test_a_wrong_password_is_one_line_without_it(postgres: Postgres) -> None:
    with pytest.raises(QueueRefused) as refused, connected(dsn(postgres.dsn(password="guess99"))):
        pass
    said = str(refused.value)
    assert "password authentication failed" in said
    assert f"host 127.0.0.1, port {postgres.port}, database postgres, user archive" in said
    assert "\n" not in said
    assert "guess99" not in said
    assert PASSWORD not in said


def test_nobody_there_is_one_line(postgres: Postgres) -> None:
    away = f"postgresql://u:hunter22@127.0.0.1:{postgres.port + 1}/q"
    with pytest.raises(QueueRefused) as refused, connected(dsn(away)):
        pass
    assert "Connection refused" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter22" not in str(refused.value)


def test_what_breaks_in_the_middle_is_one_line_too(queue_address: str) -> None:
    with pytest.raises(QueueRefused, match="MAPILLARY_QUEUE"), connected(dsn(queue_address)) as q:
        end(q, queue_address)


def end(connection: psycopg.Connection, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    connection.execute("SELECT 1")
