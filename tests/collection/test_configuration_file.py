"""What a configuration file may say, and what in it is refused with one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler import settings as project
from mapillary_crawler.archive.internet_archive.options import DEFAULTS
from mapillary_crawler.collection import configuration_file
from mapillary_crawler.collection.arguments import ARGUMENTS
from mapillary_crawler.collection.configuration_file import (
    NAME,
    OF_TRUST,
    SETTINGS,
    ConfigurationFile,
    in_force,
    origin_of,
    parse,
    refuse_stop_after,
    validated,
)
from mapillary_crawler.collection.outcome import ArgumentRefused

PATH = Path("/here") / NAME


def read(content: str, *, trusted: bool = True) -> ConfigurationFile:
    return parse(content.encode(), PATH, trusted=trusted)


def test_every_setting_of_the_project_may_stand_in_a_file() -> None:
    """And what may stand there is one; ON_END is of the fixed interfaces."""
    source = Path(project.__file__).read_text()
    ours = {*re.findall(r'_setting\("(\w+)"', source), *DEFAULTS}
    assert ours <= SETTINGS
    assert SETTINGS - ours <= {"ON_END"}


def test_values_are_as_they_could_be_typed() -> None:
    found = read(
        """
        [settings]
        MAPILLARY_STORE = "~/images"
        IMAGE_ATTEMPTS = 3
        MIN_FREE_BYTES = "10 GB"
        JPEG_WALK = false
        API_PATIENCE = 90.5
        WEBP_ENCODER = ""
        [arguments]
        quality = 2048
        webp = true
        start = 2024-01-01
        bbox = [13.0, 52, 13.5, 52.5]
        sequence = ["a", "b"]
        """
    )
    assert found.settings == {
        "MAPILLARY_STORE": str(Path("~/images").expanduser()),
        "IMAGE_ATTEMPTS": "3", "MIN_FREE_BYTES": "10 GB", "JPEG_WALK": "0", "API_PATIENCE": "90.5",
    }  # fmt: skip
    assert found.arguments == {
        "quality": "2048", "webp": "1", "start": "2024-01-01", "bbox": "13.0,52,13.5,52.5",
        "sequence": "a,b",
    }  # fmt: skip
    assert found.paths == (PATH,)
    assert found.origins == dict.fromkeys(found.settings, PATH)


def test_a_file_that_says_nothing_is_not_named() -> None:
    assert read("[settings]\n[arguments]\n") == ConfigurationFile()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[settings]\nIMAGE_ATTEMPTS = \n", "line 2"),
        ("[settings", "line 1"),
        ("x = " + "[" * 5000, "nested too deep"),
        (
            "[settings]\nIMAGE_ATEMPTS = 3",
            "unknown setting 'IMAGE_ATEMPTS'; did you mean IMAGE_ATT",
        ),
        ("[settings]\nimage_attempts = 3", "did you mean IMAGE_ATTEMPTS?"),
        ("[settings]\nLOG_LEVEL = 'DEBUG'", "unknown setting 'LOG_LEVEL'"),
        ("[settings]\nIMAGE_ATTEMPTS = [3]", "IMAGE_ATTEMPTS is neither text nor a number"),
        ("[settings]\nAPI_PATIENCE = 07:30:00", "API_PATIENCE is neither text nor a number"),
        ("[settings]\nTAR_MAX_BYTES = 0x" + "f" * 5000, "TAR_MAX_BYTES is out of range"),
        ("[arguments]\nqualty = 256", "unknown argument 'qualty'; did you mean quality?"),
        ("[arguments]\nquality = 512", "quality '512' is unknown"),
        ("[arguments]\nwebp = 'yes'", "webp 'yes'"),
        ("[arguments]\nusername = 'alice'", "username has no default"),
        ("[arguments]\ncut = true", "cut has no default"),
        ("[arguments]\nslice = 3", "slice has no default"),
        ("[arguments]\nquality = ['256']", "quality is neither text nor a number"),
        ("IMAGE_ATTEMPTS = 3", "stands in no table; put it below [settings]"),
        ("quality = 256", "stands in no table; put it below [arguments]"),
        ("[setting]\nIMAGE_ATTEMPTS = 3", "unknown table 'setting'"),
        ("settings = 3", "settings is no table"),
        ("[settings]\nMAPILLARY_SHARED = '/x'", "may stand in the environment alone"),
        ("[settings]\nMAPILLARY_TRUSTED_API_HOST = 'x'", "may stand in the environment alone"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_what_is_wrong_is_one_line_with_the_file(content: str, said: str, *, trusted: bool) -> None:
    with pytest.raises(ArgumentRefused) as refused:
        read(content, trusted=trusted)
    assert str(refused.value).startswith(f"{PATH}: ")
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name", ["MAPILLARY_TOKEN", "mapillary_token", "token", "IA_ACCESS_KEY_ID"]
)
@pytest.mark.parametrize("table", ["", "[settings]\n", "[arguments]\n"])
def test_secrets_are_refused_wherever_they_stand_and_never_shown(name: str, table: str) -> None:
    with pytest.raises(ArgumentRefused, match=f"{name} is never read from this file") as refused:
        read(f"{table}{name} = 'MLY|1|abc'")
    assert "abc" not in str(refused.value)
    with pytest.raises(ArgumentRefused, match="quality holds a token") as refused:
        read("[arguments]\nquality = 'MLY|1|abc'")
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(OF_TRUST))
def test_programs_and_places_of_trust_are_the_user_s_own_alone(name: str) -> None:
    content = f"[settings]\n{name} = 'https://archive.example'"
    assert read(content).settings == {name: "https://archive.example"}
    with pytest.raises(ArgumentRefused, match=f"{name} may not stand in a file of the working"):
        read(content, trusted=False)


def test_so_are_arguments_by_which_something_is_lost() -> None:
    assert read("[arguments]\naccept_failed = 1").arguments == {"accept_failed": "1"}
    for name in ("accept_failed", "upload", "remove", "update"):
        with pytest.raises(ArgumentRefused, match=f"{name} may not stand in a file of the working"):
            read(f"[arguments]\n{name} = 1", trusted=False)
        assert name in ARGUMENTS or name == "update"


def test_the_user_s_own_file_may_send_to_archive_org(places: tuple[Path, Path]) -> None:
    places[0].write_text("[arguments]\nupload = true\nremove = true\n")
    name = {"username": "alice"}
    both = validated(name)
    assert (both.upload, both.remove) == (True, True)
    neither = validated({**name, "upload": "0"})
    assert (neither.upload, neither.remove) == (False, False)
    with pytest.raises(ArgumentRefused, match=r"remove=1 is for what archive.org has"):
        validated({**name, "upload": "0", "remove": "1"})
    with pytest.raises(ArgumentRefused, match=r"remove=1 is for what archive.org has"):
        read("[arguments]\nremove = true")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_nothing_but_a_refusal_comes_of_hostile_files(content: str) -> None:
    message = f"{PATH}: "
    try:
        parse(f"[settings]\n{content}".encode(), PATH, trusted=False)
    except ArgumentRefused as refused:
        message = str(refused)
    assert message.startswith(f"{PATH}: ")


# Files in their places


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Return where the user's file and that of the working folder are; nothing else is there."""
    own, here = tmp_path / "own" / NAME, tmp_path / "here" / NAME
    for path in (own, here):
        path.parent.mkdir()
    monkeypatch.setattr(configuration_file, "user_file", lambda: own)
    monkeypatch.chdir(here.parent)
    in_force.cache_clear()
    yield own, here
    in_force.cache_clear()


def test_no_file_is_no_settings(places: tuple[Path, Path]) -> None:
    assert in_force() == ConfigurationFile()
    assert origin_of("IMAGE_ATTEMPTS", {}) == "default"


def test_the_working_folder_wins_over_the_user_and_the_environment_over_both(
    places: tuple[Path, Path],
) -> None:
    own, here = places
    own.write_text("[settings]\nIMAGE_ATTEMPTS = 2\nWEBP_METHOD = 5\n[arguments]\nwebp = 1\n")
    here.write_text("[settings]\nIMAGE_ATTEMPTS = 4\n[arguments]\nquality = 256\n")
    assert in_force().settings == {"IMAGE_ATTEMPTS": "4", "WEBP_METHOD": "5"}
    assert in_force().paths == (own, here)
    arguments = validated({"username": "a", "quality": "2048"})
    assert (arguments.collection.webp, arguments.collection.quality) == (True, "2048")
    assert arguments.from_file == {"webp"}
    environment = {"WEBP_METHOD": "", "MIN_FREE_BYTES": "0"}
    names = ("IMAGE_ATTEMPTS", "WEBP_METHOD", "MIN_FREE_BYTES", "TAR_MAX_BYTES")
    origins = [origin_of(name, environment) for name in names]
    assert origins == [str(here), str(own), "environment", "default"]


def test_a_limit_of_the_run_is_the_same_typed_or_of_a_file(places: tuple[Path, Path]) -> None:
    _, here = places
    refuse_stop_after({"quality": "256"})
    assert validated({"username": "a", "cut": "1"}).cut
    with pytest.raises(ArgumentRefused, match=r"^-a stop_after= does not go with --queue"):
        refuse_stop_after({"stop_after": "2h"})
    in_force.cache_clear()
    here.write_text("[arguments]\nstop_after = '2h'\n")
    assert not validated({"username": "a", "cut": "1"}).cut
    with pytest.raises(ArgumentRefused, match=f"^stop_after, as {here} has it, does not go with"):
        refuse_stop_after({})


def test_the_user_s_folder_may_be_the_working_folder(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, _ = places
    own.write_text("[arguments]\naccept_failed = 1\n")
    monkeypatch.chdir(own.parent)
    assert in_force().paths == (own,)


def test_what_is_no_file_or_too_large_is_refused(places: tuple[Path, Path]) -> None:
    _, here = places
    here.mkdir()
    with pytest.raises(ArgumentRefused, match="is no file; move it away"):
        in_force()
    here.rmdir()
    here.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ArgumentRefused, match="it is no such file"):
        in_force()
    here.write_bytes(b"[settings]\nMAPILLARY_STORE = '\xff'")
    with pytest.raises(ArgumentRefused, match=r"not UTF-8 \(at line 2\)"):
        in_force()
