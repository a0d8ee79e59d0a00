"""Settings: bounds, addresses that may get the token, and that no refusal shows the token."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import Settings

from mapillary_crawler import settings as project
from mapillary_crawler.collection import configuration as module
from mapillary_crawler.collection.configuration import Configuration, read_configuration
from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.collection.token import may_have_token, read_token

TOKEN = "MLY|12345678901234567|0123456789abcdef0123456789abcdef"  # no real one
SETTINGS: dict[str, Any] = {
    "MAPILLARY_API_URL": "https://graph.mapillary.com",
    "MAPILLARY_STORE": "./mapillary_data",
    "MAPILLARY_STAGING": "",
    "ARCHIVE_ORG_URL": "https://archive.org",
    "MAPILLARY_CONCURRENCY_START": 16,
    "MAPILLARY_CONCURRENCY_MIN": 1,
    "MAPILLARY_CONCURRENCY_MAX": 128,
    "MAPILLARY_CONCURRENCY_FIXED": 0,
    "API_PATIENCE": 7200,
    "IMAGE_ATTEMPTS": 6,
    "JPEG_WALK": 1,
    "SEARCHES_PER_MINUTE": 8000,
    "ENTITIES_PER_MINUTE": 48_000,
    "PROCESSORS": 0,
    "IN_FLIGHT_BYTES": 64 * 1024**2,
    "MIN_FREE_BYTES": 10**9,
    "TAR_MAX_BYTES": 10 * 1024**3,
    "MAX_BYTES_PER_SECOND": 0,
    "STAGING_MAX_BYTES": 0,
    "SLICE_IMAGES": 20000,
    "WEBP_QUALITY": 75,
    "WEBP_METHOD": 4,
    "WEBP_ENCODER": "auto",
    "JXL_ENCODER": "auto",
    "JXL_EFFORT": 3,
    "NEW_STORE": 0,
}


def configuration(environment: Mapping[str, str] | None = None, **changed: Any) -> Configuration:
    return read_configuration({**SETTINGS, **changed}, environment or {})


WANTED = {
    "api_url": "https://graph.mapillary.com",
    "archive_org_url": "https://archive.org",
    "store": None,
    "staging": None,
    "concurrency_start": 16,
    "concurrency_min": 1,
    "concurrency_max": 128,
    "concurrency_fixed": 0,
    "api_patience": 7200,
    "searches_per_minute": 8000,
    "entities_per_minute": 48_000,
    "image_attempts": 6,
    "jpeg_walk": True,
    "in_flight_bytes": 67_108_864,
    "min_free_bytes": 1_000_000_000,
    "tar_max_bytes": 10_737_418_240,
    "max_bytes_per_second": 0,
    "webp_quality": 75,
    "webp_method": 4,
    "webp_encoder": "auto",
    "jxl_encoder": "auto",
    "jxl_effort": 3,
    "new_store": False,
}


def project_settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(project.__file__)


def test_the_defaults_are_those_of_the_design(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asdict(read_configuration(project_settings(monkeypatch), {}))
    here = Path.cwd() / "mapillary_data"
    wanted = {**WANTED, "store": here, "staging": here / ".incomplete"}
    assert {name: found[name] for name in wanted} == wanted


def test_settings_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_configuration(
        project_settings(monkeypatch, IMAGE_ATTEMPTS="3", MIN_FREE_BYTES="0", WEBP_QUALITY=""), {}
    )
    assert (found.image_attempts, found.min_free_bytes, found.webp_quality) == (3, 0, 75)


def test_processors_are_those_that_may_be_used_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "usable_processors", lambda: 7)
    assert configuration().processors == 7
    assert configuration(PROCESSORS=2).processors == 2


def test_sizes_and_times_may_have_units() -> None:
    found = configuration(
        API_PATIENCE="2h",
        IN_FLIGHT_BYTES="10 MiB",
        MIN_FREE_BYTES="1GB",
        TAR_MAX_BYTES="4.5 GB",
        MAX_BYTES_PER_SECOND="500 kB",
    )
    assert found.api_patience == 7200
    assert (found.in_flight_bytes, found.min_free_bytes) == (10 * 2**20, 10**9)
    assert (found.tar_max_bytes, found.max_bytes_per_second) == (4_500_000_000, 500_000)


def test_scrapy_s_settings_and_text_are_read_alike() -> None:
    text = {name: str(value) for name, value in SETTINGS.items()}
    assert read_configuration(Settings(text), {}) == configuration()


def test_settings_that_the_user_chose_are_told_from_defaults() -> None:
    settings = Settings()
    settings.update(SETTINGS, priority="project")
    assert read_configuration(settings, {}).explicit == frozenset()
    assert read_configuration(settings, {"WEBP_METHOD": ""}).explicit == frozenset()
    settings.set("WEBP_QUALITY", 75, priority="cmdline")
    chosen = read_configuration(
        settings, {"WEBP_ENCODER": "pillow", "IMAGE_ATTEMPTS": "3"}
    ).explicit
    assert chosen == {"WEBP_QUALITY", "WEBP_ENCODER"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IMAGE_ATTEMPTS", "six", "is no number"),
        ("IMAGE_ATTEMPTS", "", "is no number"),
        ("IMAGE_ATTEMPTS", "1.5", "is no number"),
        ("IMAGE_ATTEMPTS", "9" * 5000, "is no number"),
        ("IMAGE_ATTEMPTS", 0, "at least 1"),
        ("IMAGE_ATTEMPTS", 10**30, "out of range"),
        ("MAPILLARY_CONCURRENCY_START", 0, "at least 1"),
        ("MAPILLARY_CONCURRENCY_MIN", 0, "at least 1"),
        ("MAPILLARY_CONCURRENCY_MAX", 0, "at least 1"),
        ("MAPILLARY_CONCURRENCY_FIXED", -1, "at least 0"),
        ("MAPILLARY_CONCURRENCY_MIN", 129, "greater than MAPILLARY_CONCURRENCY_MAX"),
        ("API_PATIENCE", "nan", "a number of seconds, or one with s, m, h or d"),
        ("API_PATIENCE", "inf", "is not understood"),
        ("API_PATIENCE", "2 hours", "is not understood"),
        ("API_PATIENCE", "2GB", "is not understood"),
        ("API_PATIENCE", -1, "at least 0"),
        ("IN_FLIGHT_BYTES", 0, "at least 1"),
        ("MIN_FREE_BYTES", -1, "at least 0"),
        ("MIN_FREE_BYTES", "1G", "a number of bytes, or one with B, kB, MB"),
        ("MIN_FREE_BYTES", "1h", "is not understood"),
        ("TAR_MAX_BYTES", "0.5B", "at least 1"),
        ("MAX_BYTES_PER_SECOND", "-1kB", "at least 0"),
        ("MAX_BYTES_PER_SECOND", "1MB/s", "is not understood"),
        ("TAR_MAX_BYTES", 0, "at least 1"),
        ("WEBP_QUALITY", 101, "from 0 to 100"),
        ("WEBP_METHOD", 7, "from 0 to 6"),
        ("WEBP_ENCODER", "magick", "auto, cwebp, pillow"),
        ("JXL_EFFORT", 0, "from 1 to 9"),
        ("JXL_EFFORT", 10, "from 1 to 9"),
        ("JXL_ENCODER", "cwebp", "auto, pylibjxl, cjxl"),
        ("MAPILLARY_API_URL", "", "is no http(s) address"),
        ("MAPILLARY_API_URL", "graph.mapillary.com", "is no http(s) address"),
        ("MAPILLARY_API_URL", "ftp://graph.mapillary.com", "is no http(s) address"),
        ("MAPILLARY_API_URL", "https://", "is no http(s) address"),
        ("MAPILLARY_API_URL", "https://[::1", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://localhost:99999", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://localhost:0", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://localhost/?x=1", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://localhost/?", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://localhost/#x", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://me:secret@localhost", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://:secret@localhost", "is no http(s) address"),
        ("MAPILLARY_API_URL", " http://localhost", "is no http(s) address"),
        ("MAPILLARY_API_URL", "http://local host", "is no http(s) address"),
        ("MAPILLARY_API_URL", "https://example.org", "may not get the token"),
        ("MAPILLARY_API_URL", "http://graph.mapillary.com", "may not get the token"),
        ("ARCHIVE_ORG_URL", "archive.org", "is no http(s) address"),
        ("MAPILLARY_STORE", "", "MAPILLARY_STORE is empty"),
        ("MAPILLARY_STORE", "$HOME/archive", "no shell has replaced"),
        ("MAPILLARY_STAGING", "/tmp/${USER}", "no shell has replaced"),
        ("MAPILLARY_STORE", "~nobody-of-that-name/archive", "no such user's home"),
        ("NEW_STORE", "2", "out of range"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(name: str, value: Any, said: str) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        configuration(**{name: value})
    message = str(refused.value)
    assert message.startswith(name)
    assert said in message
    assert message.isprintable()


def test_a_path_prefix_stays_and_the_slash_behind_it_goes() -> None:
    assert configuration(MAPILLARY_API_URL="http://127.0.0.1:8000/graph/").api_url == (
        "http://127.0.0.1:8000/graph"
    )


def test_the_folders_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = configuration(MAPILLARY_STORE="store", MAPILLARY_STAGING="elsewhere")
    assert (found.store, found.staging) == (tmp_path / "store", tmp_path / "elsewhere")
    assert configuration(MAPILLARY_STORE="store").staging == tmp_path / "store" / ".incomplete"


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = configuration(MAPILLARY_STORE="~/store", MAPILLARY_STAGING="~/$1 and ~")
    assert (found.store, found.staging) == (tmp_path / "store", tmp_path / "$1 and ~")


def test_staging_in_the_store_s_own_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "store")
    for staging in ("store", "link", "store/../store"):
        with pytest.raises(ArgumentRefused, match="MAPILLARY_STAGING"):
            configuration(
                MAPILLARY_STORE=str(tmp_path / "store"), MAPILLARY_STAGING=str(tmp_path / staging)
            )


@pytest.mark.parametrize("name", ["MAPILLARY_STORE", "MAPILLARY_STAGING"])
def test_a_confined_store_cannot_be_left(name: str, tmp_path: Path) -> None:
    root = {"MAPILLARY_STORE_ROOT": str(tmp_path / "root")}
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    inside = {
        "MAPILLARY_STORE": str(tmp_path / "root" / "store"),
        "MAPILLARY_STAGING": str(tmp_path / "root" / "staging"),
    }
    assert configuration(root, **inside).store == tmp_path / "root" / "store"
    for outside in ("root/../other", "root2", "root/link/other"):
        with pytest.raises(ArgumentRefused, match=f"{name} .* MAPILLARY_STORE_ROOT"):
            configuration(root, **{**inside, name: str(tmp_path / outside)})


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://graph.mapillary.com", True),
        ("https://graph.mapillary.com:443/images?x=1", True),
        ("https://GRAPH.mapillary.com/", True),
        ("http://graph.mapillary.com", False),
        ("https://graph.mapillary.com:8443/", False),
        ("https://graph.mapillary.com.example.org/", False),
        ("https://graph.mapillary.com@example.org/", False),
        ("https://example.org/graph.mapillary.com", False),
        ("https://example.org/?https://graph.mapillary.com", False),
        ("https://www.mapillary.com/", False),
        ("https://scontent-muc2-1.xx.fbcdn.net/m1/v/t6/x?oe=68B04FC4", False),
        ("http://127.0.0.1:8000/", True),
        ("http://127.8.9.10/", True),
        ("http://[::1]:8000/", True),
        ("http://localhost:8000/", True),
        ("http://localhost.example.org/", False),
        ("http://127.0.0.1.example.org/", False),
        ("http://10.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("", False),
        ("http://[", False),
        ("http://[::1].evil.test", False),
        ("http://[::1]evil.test:80/", False),
        ("http://x[::1]:80/", False),
        ("http://[127.0.0.1].evil.test", False),
        ("http://[::ffff:127.0.0.1]:8000/", True),
        ("https://graph.mapillary.com:x/", False),
        ("data:,", False),
    ],
)
def test_who_may_get_the_token(url: str, may: bool) -> None:
    assert may_have_token(url, {}) is may


@pytest.mark.parametrize("name", ["MAPILLARY_API_URL", "ARCHIVE_ORG_URL"])
@pytest.mark.parametrize(
    "url", ["http://[::1].evil.test", "http://[::1]x", "http://a[::1]", "http://[::1]:80x"]
)
def test_what_follows_an_address_in_brackets_is_refused(name: str, url: str) -> None:
    with pytest.raises(ArgumentRefused, match="is no http"):
        configuration(**{name: url})


@given(st.text() | st.from_regex(r"https?://[\[\]@:/a-z0-9.%\\]{0,30}", fullmatch=True))
def test_no_address_breaks_it(url: str) -> None:
    may = may_have_token(url, {})
    assert not may or any(
        name in url.lower() for name in ("graph.mapillary.com", "localhost", "127.", "[", "1")
    )


@pytest.mark.parametrize("trusted", ["Proxy.Example.org", " proxy.example.org ", "\n"])
def test_one_more_host_can_be_trusted(trusted: str) -> None:
    environment = {"MAPILLARY_TRUSTED_API_HOST": trusted}
    trusts = bool(trusted.strip())
    assert may_have_token("https://proxy.example.org/graph", environment) is trusts
    assert may_have_token("https://proxy.example.org:8443/", environment) is trusts
    assert not may_have_token("https://example.org/", environment)
    assert not may_have_token("https://a.proxy.example.org/", environment)
    assert may_have_token("https://graph.mapillary.com/", environment)


def test_a_host_can_be_trusted_at_one_port() -> None:
    environment = {"MAPILLARY_TRUSTED_API_HOST": "proxy.example.org:8443"}
    assert may_have_token("https://proxy.example.org:8443/", environment)
    assert not may_have_token("https://proxy.example.org/", environment)


def test_a_trusted_host_may_be_the_api() -> None:
    environment = {"MAPILLARY_TRUSTED_API_HOST": "proxy.example.org"}
    assert configuration(environment, MAPILLARY_API_URL="https://proxy.example.org/v4").api_url == (
        "https://proxy.example.org/v4"
    )


@pytest.mark.parametrize("around", ["{}", "  {}\n", "\t{}\r\n", "\ufeff{}"])
def test_the_token_is_stripped(around: str) -> None:
    environment = {"MAPILLARY_TOKEN": around.format(TOKEN)}
    if "\ufeff" in around:
        with pytest.raises(ArgumentRefused, match="copy it again"):
            read_token(environment)
    else:
        assert read_token(environment) == TOKEN


@pytest.mark.parametrize("environment", [{}, {"MAPILLARY_TOKEN": ""}, {"MAPILLARY_TOKEN": " \n"}])
def test_without_a_token_the_way_to_one_is_shown(environment: dict[str, str]) -> None:
    with pytest.raises(ArgumentRefused, match=r"MAPILLARY_TOKEN is not set.*dashboard/developers"):
        read_token(environment)


@given(st.text(min_size=1), st.sampled_from(["{}", "{0}\n{0}", "{}\x00"]))
def test_no_refusal_shows_the_token(rest: str, form: str) -> None:
    value = "s3cret" + form.format(rest)
    message = ""
    try:
        token = read_token({"MAPILLARY_TOKEN": value})
    except ArgumentRefused as refused:
        message = f"{refused!r} {refused.__context__!r}"
    else:
        assert token == value.strip()
        assert token.isascii()
        assert token.isprintable()
    assert "s3cret" not in message


@pytest.mark.parametrize(
    "url", ["https://graph.mapillary.com/?access_token={}", "https://{}@graph.mapillary.com"]
)
def test_no_refusal_of_an_address_shows_a_secret_in_it(url: str) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        configuration(MAPILLARY_API_URL=url.format(TOKEN))
    assert "MLY" not in str(refused.value)
