"""MAPILLARY_QUEUE is read strictly, and its password is never shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.workers.dsn import Dsn, read_dsn, warning


def dsn(address: str, **environment: str) -> Dsn:
    return read_dsn({"MAPILLARY_QUEUE": address, **environment})


def nowhere(_host: str) -> list[str]:
    return []


def test_its_parts_are_named_but_for_the_password() -> None:
    found = dsn("postgresql://archive:p%40ss%2Fword@db.example.org:5433/queue")
    assert found.where == "host db.example.org, port 5433, database queue, user archive"
    assert found.password == "p@ss/word"
    assert "word" not in repr(found)


def test_what_libpq_takes_from_the_environment_is_named_too() -> None:
    found = dsn("postgresql:///queue", PGHOST="db", PGPORT="6000", PGUSER="me", PGPASSWORD="secret")
    assert found.where == "host db, port 6000, database queue, user me"
    assert "secret" not in repr(found)


def test_sockets_and_several_servers_may_be_named() -> None:
    assert dsn("postgresql://%2Frun%2Fpg/q").hosts == ("/run/pg",)
    assert dsn("postgres://u@[::1]:1,b:2/q").hosts == ("::1", "b")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:se@cret@host/q",  # libpq: the host is cret@host
        "postgresql://u:12/secret@host/q",  # libpq: the database is secret@host/q
        "postgresql://u:12?secret@host/q",
        "postgresql://u:12#secret@host/q",
        "postgresql://u:sec ret@host/q",
        "postgresql://u:secret@host:port/q",
        "postgresql://u:secret%zz@host/q",
        "postgresql://u:secret@host/q?no_such=secret",
        "host=db password=secret",
        "https://u:secret@host/q",
        "secret",
    ],
)
def test_what_could_be_mistaken_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        dsn(address)
    assert "secret" not in str(refused.value)
    assert "MAPILLARY_QUEUE" in str(refused.value)


@given(st.text(min_size=4, max_size=20), st.sampled_from(["@", "/", ":", "?", "#", "", "%"]))
def test_no_password_is_ever_part_of_what_is_named(secret: str, between: str) -> None:
    secret = f"Zq{secret}{between}Qz"
    with contextlib.suppress(ArgumentRefused, ValueError):
        found = dsn(f"postgresql://u:{secret}@h/q")
        assert "Zq" not in found.where
        assert "Qz" not in found.where


def test_without_it_the_line_says_how_to_set_it() -> None:
    with pytest.raises(ArgumentRefused, match="MAPILLARY_QUEUE is not set; export it as"):
        read_dsn({"MAPILLARY_QUEUE": " "})


def test_what_the_library_says_is_one_line_and_lacks_the_password() -> None:
    found = dsn("postgresql://u:hunter22@h/q")
    said = (
        'connection failed: connection to server at "::1", port 5 failed: Connection refused\n'
        "\tIs the server running on that host?\n"
    )
    assert found.clean(said) == "Connection refused"
    assert "hunter22" not in found.clean('could not translate host name "hunter22"')
    assert found.clean("") == ""
    misspelt = dsn("postgresql://u:hunter22@h/q?sslmode=bogushunter22")
    assert "look at what MAPILLARY_QUEUE has behind its ?" in misspelt.clean(
        'invalid sslmode value: "bogushunter22"'
    )


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_with_tls_nothing_is_warned_of(mode: str) -> None:
    address = f"postgresql://u:p@8.8.8.8/q?sslmode={mode}"
    assert warning(dsn(address), lambda host: [host]) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "%2Frun%2Fpg", ""])
def test_this_machine_needs_no_tls(host: str) -> None:
    assert warning(dsn(f"postgresql://u:p@{host}/q"), nowhere) is None


def test_a_private_network_needs_none_and_the_internet_does() -> None:
    found = dsn("postgresql://u:hunter22@db.example.org/q")
    assert warning(found, lambda _: ["10.0.0.3"]) is None
    assert warning(found, nowhere) is None
    line = warning(found, lambda _: ["10.0.0.3", "93.184.216.34"])
    assert line is not None
    assert "db.example.org" in line
    assert "hunter22" not in line
    assert warning(dsn("postgresql://u:p@93.184.216.34/q"), lambda host: [host]) is not None
    mode = dsn("postgresql://u:p@93.184.216.34/q", PGSSLMODE="require")
    assert warning(mode, lambda host: [host]) is None


def test_an_address_is_asked_whatever_name_stands_beside_it() -> None:
    """PostgreSQL: `hostaddr` is connected to, `host` only compared with the certificate."""
    public = dsn("postgresql://u:p@127.0.0.1/q?hostaddr=8.8.8.8")
    assert "8.8.8.8" in (warning(public, lambda host: [host]) or "")
    assert "8.8.8.8" in public.where
    private = dsn("postgresql://u:p@8.8.8.8/q?hostaddr=127.0.0.1")
    assert warning(private, lambda host: [host]) is None
    named = dsn("postgresql://u:p@10.0.0.3/q", PGHOSTADDR="8.8.8.8")
    assert warning(named, lambda host: [host]) is not None
