"""The queue's tables: procrastinate's, and what machines tell one another besides."""

from __future__ import annotations

from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from mapillary_crawler.terminal.program import program_name
from mapillary_crawler.workers.database import SCHEMA, QueueRefused

#: The version of the tables below.
VERSION = 1
#: Whoever makes or changes tables holds this lock (any number that nobody else has).
_MAKING = 0x6D61_7069_6C6C
_TABLES = """
CREATE TABLE schema_version (version integer NOT NULL, procrastinate text NOT NULL);

-- Processes of the command `worker`. A machine is lost of which none has been seen for a lease;
-- one that was told to end is waited for.
CREATE TABLE workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine text NOT NULL,
    version text NOT NULL,
    jobs integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    drained boolean NOT NULL DEFAULT false,
    paused_until timestamptz,
    paused_for text
);

-- Users in the order in which they came: the priorities of their tasks.
CREATE SEQUENCE places AS integer;

-- What is known of each collection (slice -1) and slice: news for people, never the truth.
CREATE TABLE progress (
    collection text NOT NULL,
    slice integer NOT NULL,
    username text NOT NULL,
    machine text NOT NULL DEFAULT '',
    exit_code integer,
    errors integer NOT NULL DEFAULT 0,
    figures jsonb NOT NULL DEFAULT '{}',
    began_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, slice)
);

-- The API's limits, by the token's application and what is asked for: a token bucket.
CREATE TABLE brake (
    application text NOT NULL,
    surface text NOT NULL,
    rate double precision NOT NULL,
    tokens double precision NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    grown_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused_until timestamptz,
    PRIMARY KEY (application, surface)
);

-- By what the folder that all machines share is known: at most one row.
CREATE TABLE shared (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    token text NOT NULL
);

-- Why nobody takes a task until somebody has looked at it: at most one row.
CREATE TABLE halt (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    username text NOT NULL,
    machine text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
"""
#: procrastinate stumbles over arguments that are no object, and never ends their task; and for each
#: task that it could take it looks through all for one that has the same lock.
_BESIDE = """
ALTER TABLE procrastinate_jobs ADD CONSTRAINT args_are_an_object
CHECK (jsonb_typeof(args) = 'object');
CREATE INDEX jobs_by_lock ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing');
"""
#: Whether tables, types or functions lie in the schema, of whoever may look into it: another is
#: told by the server what he may not, and dropping it would not help him.
_IN_USE = """
SELECT EXISTS (
    SELECT FROM pg_depend
    WHERE (refclassid, refobjid) = ('pg_namespace'::regclass, pg_namespace.oid)
    AND classid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)
) FROM pg_namespace WHERE nspname = %s AND has_schema_privilege(oid, 'USAGE')
"""


def init(connection: psycopg.Connection) -> str:
    """Make the tables, or bring them up to date; return what was done, in words.

    Raises `QueueRefused` where a newer program made them, or something else lies in their place.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        found = _found(connection)
        newest = (VERSION, _migrations()[-1].stem)
        if found is None:
            connection.execute(SchemaManager.get_schema())
            connection.execute(_TABLES)
            connection.execute(_BESIDE)
            connection.execute("INSERT INTO schema_version VALUES (%s, %s)", newest)
            return f"the queue is ready (schema {VERSION})"
        if found == newest:
            return f"the queue was ready (schema {VERSION})"
        _refuse_newer(found)
        for migration in _migrations():
            if migration.stem > found[1]:
                connection.execute(migration.read_bytes())
        connection.execute("UPDATE schema_version SET version = %s, procrastinate = %s", newest)
        return f"the queue is up to date (schema {VERSION})"


def check(connection: psycopg.Connection) -> None:
    """Raise `QueueRefused` unless the tables are those of this program."""
    found = _found(connection)
    typed = f"{program_name()} queue init"
    if found is None:
        raise QueueRefused(f"the queue has no tables yet; make them with {typed}")
    if found == (VERSION, _migrations()[-1].stem):
        return
    _refuse_newer(found)
    raise QueueRefused(
        f"the queue's tables are older (schema {_named(found)}) than this program; stop the "
        f"workers and bring them up to date with {typed}"
    )


def _refuse_newer(found: tuple[int, str]) -> None:
    if found[0] > VERSION or found[1] > _migrations()[-1].stem:
        raise QueueRefused(
            f"the queue's tables are newer (schema {_named(found)}) than this program; install the "
            "version here that the other machines have"
        )


def _named(found: tuple[int, str]) -> str:
    return f"{found[0]}, procrastinate {found[1].partition('_')[0]}"


def _found(connection: psycopg.Connection) -> tuple[int, str] | None:
    """Return of which version the tables are, None where there are none.

    Raises `QueueRefused` for what says no version: neither can it be used, nor made on top of it.
    """
    exists = connection.execute("SELECT to_regclass('schema_version')").fetchone()
    if exists and exists[0] is not None:
        row = connection.execute("SELECT version, procrastinate FROM schema_version").fetchone()
        if row:
            return int(row[0]), str(row[1])
    in_use = connection.execute(_IN_USE, (SCHEMA,)).fetchone()
    if in_use and in_use[0]:
        raise QueueRefused(
            f"the schema {SCHEMA} is there, but not as this program makes it; drop it "
            f"(DROP SCHEMA {SCHEMA} CASCADE) and run {program_name()} queue init"
        )
    return None


def _migrations() -> list[Path]:
    """Return procrastinate's changes of its tables, the oldest first."""
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
