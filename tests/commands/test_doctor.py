"""`doctor` through the real command: every broken state, its exit code, and no secret shown."""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scrapy.cmdline import execute

from mapillary_crawler.crawl.doctor import service
from mapillary_crawler.sandbox.process import Sandbox
from tests.chaos.refusing_disk import RefusingDisk, rule
from tests.chaos.small_disk import mounted
from tests.crawling import PROJECT, SCRAPY, Crawling
from tests.pseudo_terminal import on_terminal
from tests.whole.test_certificates import serving

pytestmark = pytest.mark.long

TOKEN = "MLY|4410152892354321|feedfacefeedfacefeedfacefeedface"
KEYS = {"IA_ACCESS_KEY_ID": "plantedaccesskey", "IA_SECRET_ACCESS_KEY": "plantedsecretkey"}
PLANTED = (TOKEN, TOKEN[-32:], *KEYS.values())
PARTS = [
    "settings", "token", "API", "clock", "store", "staging", "open files", "image check", "encoder",
    "archive.org", "versions",
]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "alice", "images": 20}], token=TOKEN) as running:
        yield running


@dataclass
class Doctor:
    """The command with keys and a token that all is well with, in a home of its own."""

    crawling: Crawling

    @property
    def environment(self) -> dict[str, str]:
        return self.crawling.environment

    def text(self, *options: str) -> tuple[int, str]:
        result = self.crawling.scrapy("doctor", *options)
        assert "Traceback" not in result.output
        assert not [secret for secret in PLANTED if secret in result.output]
        return result.code, result.output

    def found(self, *options: str, code: int = 0) -> dict[str, tuple[str, str, str]]:
        """Return state, what was found and remedy of the worst of each part."""
        ended, output = self.text("--json", *options)
        assert ended == code, output
        answer = json.loads(output)
        assert answer["exit_code"] == code
        assert answer["versions"]["Python"] == ".".join(map(str, sys.version_info[:3]))
        worst: dict[str, tuple[str, str, str]] = {}
        rank = ("ok", "note", "warning", "fault")
        for each in answer["findings"]:
            found = (each["state"], each["found"], each["remedy"] or "")
            before = worst.setdefault(each["what"], found)
            if rank.index(found[0]) > rank.index(before[0]):
                worst[each["what"]] = found
            assert each["remedy"] or each["state"] in ("ok", "note")
        return worst


@pytest.fixture
def doctor(sandbox: Sandbox, crawling: Crawling, tmp_path: Path) -> Doctor:
    crawling.environment |= KEYS | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    return Doctor(crawling)


def states(found: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    """Return what is not well."""
    return {what: state for what, (state, _, _) in found.items() if state != "ok"}


def test_all_is_well(doctor: Doctor, sandbox: Sandbox, tmp_path: Path) -> None:
    found = doctor.found()
    assert list(found) == PARTS
    assert states({what: each for what, each in found.items() if what != "image check"}) == {}
    assert not doctor.crawling.store.exists()
    assert list(tmp_path.iterdir()) == []
    assert sandbox.counters()["endpoints"]["/images"] == 1  # one question
    assert sandbox.archive()["puts"] == []


def test_after_a_good_word_a_crawl_starts(doctor: Doctor) -> None:
    assert doctor.found()["token"][0] == "ok"
    assert doctor.crawling.run(username="alice", quality="256", check_ia=0).code == 0
    assert "which will be made" not in doctor.found()["store"][1]
    assert not list(doctor.crawling.store.rglob("probe-*"))


# The token


@pytest.mark.parametrize(
    ("token", "code", "said", "remedy"),
    [
        (None, 2, "not set", "get a free token"),
        ("", 2, "not set", "get a free token"),
        (f'"{TOKEN}"', 2, "quotes", "env file"),
        (f"'{TOKEN}'\n", 2, "quotes", "env file"),
        (f"{TOKEN[:30]}\n{TOKEN[30:]}", 2, "characters that no token has", "copy it again"),
        (TOKEN[4:], 5, "has not the form", "copy it again"),
        (TOKEN[:-32] + "0" * 32, 5, "the API refuses it", "copy it again"),
        (TOKEN + "0", 5, "the API refuses it", "copy it again"),
    ],
)
def test_token(doctor: Doctor, token: str | None, code: int, said: str, remedy: str) -> None:
    doctor.environment.pop("MAPILLARY_TOKEN")
    if token is not None:
        doctor.environment["MAPILLARY_TOKEN"] = token
    found = doctor.found(code=code)
    assert found["token"][0] == "fault"
    assert said in found["token"][1]
    assert remedy in found["token"][2]
    assert found["API"][0] == found["clock"][0] == "ok"


def test_a_token_with_blanks_around_it(doctor: Doctor) -> None:
    doctor.environment["MAPILLARY_TOKEN"] = f"  {TOKEN}\r\n"
    assert "without the blanks" in doctor.found()["token"][1]


# The API


@pytest.mark.parametrize(
    ("faults", "said", "remedy"),
    [
        ({"down": True}, "there is no connection", "network"),
        ({"html": 1.0}, "an HTML page instead of JSON", "log-in page"),
        ({"redirect": 1.0}, "a redirect", "log-in page"),
        ({"temporary": 1.0}, "temporarily unavailable", "try again later"),
        ({"rate_limited": 1.0}, "request limit", "wait some minutes"),
        ({"broken_json": 1.0}, "no JSON object", "try again later"),
        ({"cut": 1.0}, "no JSON object", "try again later"),
    ],
)
def test_an_api_that_is_away(
    doctor: Doctor, sandbox: Sandbox, faults: dict[str, Any], said: str, remedy: str
) -> None:
    sandbox.set_faults({"api": faults})
    state, found, what_to_do = doctor.found(code=7)["API"]
    assert state == "fault"
    assert said in found
    assert remedy in what_to_do


def test_an_api_that_is_not_there(doctor: Doctor) -> None:
    doctor.environment["MAPILLARY_API_URL"] = "http://127.0.0.1:9"
    found = doctor.found(code=7)
    assert "Connection refused" in found["API"][1]
    assert states(found) | {"image check": "ok"} == {
        "token": "note", "API": "fault", "clock": "note", "image check": "ok",
    }  # fmt: skip


def test_an_api_that_does_not_answer_in_time(
    doctor: Doctor,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    sandbox.set_faults({"api": {"stall": 1.0}})
    monkeypatch.setattr(service, "TIMEOUT", 0.3)
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "mapillary_crawler.settings")
    for name in ("HOME", "XDG_CONFIG_HOME", "MAPILLARY_TOKEN"):
        monkeypatch.setenv(name, doctor.environment[name])
    options = (f"MAPILLARY_API_URL={sandbox.url}", f"MAPILLARY_STORE={tmp_path}")
    with pytest.raises(SystemExit) as ended:
        execute(["scrapy", "doctor", "--json", *(f"-s{option}" for option in options)])
    assert ended.value.code == 7
    (api,) = (
        each for each in json.loads(capsys.readouterr().out)["findings"] if each["what"] == "API"
    )
    assert "there is no answer in time" in api["found"]


def test_a_certificate_that_nobody_vouches_for(doctor: Doctor, tmp_path: Path) -> None:
    with serving(tmp_path / "server.pem") as server:
        doctor.environment["MAPILLARY_API_URL"] = f"https://localhost:{server.server_port}"
        found = doctor.found(code=7)["API"]
        assert server.requests == 0
    assert "nobody vouches for its certificate" in found[1]
    assert "clock" in found[2]


def test_a_proxy_that_does_not_connect(doctor: Doctor) -> None:
    doctor.environment.update(
        {
            "MAPILLARY_API_URL": "https://api.example.test",
            "MAPILLARY_TRUSTED_API_HOST": "api.example.test",
            "https_proxy": "http://user:plantedpassword@127.0.0.1:9",
            "no_proxy": "",
            "NO_PROXY": "",
        }
    )
    found = doctor.found(code=7)["API"]
    assert "proxy of the environment (Connection refused)" in found[1]
    assert "https_proxy" in found[2]
    assert "plantedpassword" not in doctor.text()[1]


@pytest.mark.parametrize(("ahead", "said"), [(-3600, "ahead of"), (7200, "behind")])
def test_a_clock_that_is_off(doctor: Doctor, sandbox: Sandbox, ahead: int, said: str) -> None:
    sandbox.set_faults({"api": {"clock": ahead}})
    state, found, remedy = doctor.found()["clock"]
    assert (state, said in found, "timedatectl" in remedy) == ("warning", True, True)
    hours = abs(ahead) // 3600
    assert re.match(rf"{hours}:00:0|{hours - 1}:59:5|59:5", found)


# Settings


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("MIN_FREE_BYTES=x", "is not understood"),
        ("IMAGE_ATTEMPTS=x", "is no number"),
        ("MAPILLARY_API_URL=https://example.org", "may not get the token"),
        ("WEBP_ENCODER=jxl", "is unknown"),
    ],
)
def test_a_setting_that_a_crawl_refuses(doctor: Doctor, option: str, said: str) -> None:
    found = doctor.found("-s", option, code=2)
    assert found["settings"][0] == "fault"
    assert said in found["settings"][1]
    assert "versions" in found
    assert "token" not in found  # nothing is wrong with its form, and nobody may be asked


def test_a_wrong_setting_hides_no_token_in_quotes(doctor: Doctor) -> None:
    doctor.environment["MAPILLARY_TOKEN"] = f'"{TOKEN}"'
    found = doctor.found("-s", "MIN_FREE_BYTES=x", code=2)
    assert found["settings"][0] == found["token"][0] == "fault"


# Store and staging


def test_a_file_in_the_way(doctor: Doctor) -> None:
    doctor.crawling.store.write_bytes(b"")
    found = doctor.found(code=2)
    assert "is no folder" in found["store"][1]
    assert "move it away" in found["store"][2]
    assert doctor.crawling.run(username="alice", check_ia=0).code == 2


def test_too_little_space(doctor: Doctor) -> None:
    found = doctor.found("-s", "MIN_FREE_BYTES=1000000000000000000", code=6)
    assert (found["store"][0], found["staging"][0]) == ("warning", "fault")
    assert "make space" in found["staging"][2]


def test_a_full_disk_and_one_that_can_be_read_only(doctor: Doctor, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 300_000) as disk:
        doctor.environment["MAPILLARY_STORE"] = str(disk.folder / "store")
        found = doctor.found(code=6)
        assert "the disk is full" in found["store"][1]
        disk.resize(4_000_000)
        assert doctor.found()["store"][0] == "ok"
        disk.make_read_only()
        found = doctor.found(code=2)
        assert "can be read only" in found["store"][1]
        assert "mount it for writing" in found["store"][2]
        assert list(disk.folder.iterdir()) == []


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> RefusingDisk:
    return RefusingDisk.built(tmp_path_factory.mktemp("library"))


@pytest.mark.parametrize(
    ("call", "number", "code", "said"),
    [
        ("flock", errno.ENOLCK, 2, "locks no files"),
        ("mmap_shared", errno.ENODEV, 2, "shares no memory"),
        ("seek", errno.EINVAL, 0, "FAT32"),
        ("write", errno.EROFS, 2, "read only"),
        ("write", errno.EDQUOT, 6, "the disk is full"),
        ("write", errno.EIO, 2, "Input/output error"),
        ("fsync_folder", errno.EINVAL, 0, "flush folders"),
        ("utime", errno.EPERM, 0, "set the times"),
        ("chmod", errno.EPERM, 0, "set the modes"),
    ],
)
def test_a_disk_that_refuses(
    doctor: Doctor, disk: RefusingDisk, call: str, number: int, code: int, said: str
) -> None:
    doctor.crawling.store.mkdir()
    doctor.environment.update(disk.environment(doctor.crawling.store, rule(call, number)))
    ended, output = doctor.text()
    assert ended == code, output
    assert said in output
    assert list(doctor.crawling.store.iterdir()) == []


def test_a_disk_that_folds_names(doctor: Doctor, disk: RefusingDisk) -> None:
    doctor.crawling.store.mkdir()
    doctor.environment.update(disk.environment(doctor.crawling.store, folds=True))
    found = doctor.found()["store"]
    assert "capitals and small letters are the same" in doctor.text()[1], found


# What is installed


def test_no_cwebp(doctor: Doctor) -> None:
    doctor.environment["PATH"] = "/nowhere"
    assert "Pillow's libwebp" in doctor.found()["encoder"][1]
    state, found, remedy = doctor.found("-s", "WEBP_ENCODER=cwebp", code=2)["encoder"]
    assert (state, "no working cwebp" in found) == ("fault", True)
    assert "install it" in remedy


def test_the_walk_switched_off(doctor: Doctor) -> None:
    state, found, _ = doctor.found("-s", "JPEG_WALK=0")["image check"]
    assert (state, "JPEG_WALK" in found) == ("note", True)


def test_the_walk_that_is_missing(doctor: Doctor, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "jpeg_entropy.py").write_text("raise ImportError('no library')\n")
    doctor.environment["PYTHONPATH"] = str(modules)
    state, found, remedy = doctor.found()["image check"]
    assert (state, "native walk is missing" in found) == ("warning", True)
    assert "C compiler" in remedy


def test_a_library_that_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "simplejpeg.py").write_text("raise ImportError('libjpeg.so.62: no such file')\n")
    doctor.environment["PYTHONPATH"] = str(modules)
    state, found, _ = doctor.found(code=1)["image check"]
    assert (state, "libjpeg.so.62" in found) == ("fault", True)


@pytest.mark.parametrize(("limit", "code", "state"), [(200, 0, "warning"), (40, 2, "fault")])
def test_few_open_files(doctor: Doctor, limit: int, code: int, state: str) -> None:
    shell = shutil.which("sh") or pytest.skip("no shell")
    doctor.crawling.command_line = [shell, "-c", f'ulimit -n {limit}; exec "$@"', "sh", *SCRAPY]
    found = doctor.found(code=code)["open files"]
    assert (found[0], f"ulimit -n is {limit}" in found[1]) == (state, True)


# archive.org


def test_no_keys(doctor: Doctor) -> None:
    for name in KEYS:
        del doctor.environment[name]
    doctor.environment["ARCHIVE_ORG_S3_URL"] = "http://127.0.0.1:9"  # nobody is asked
    state, found, remedy = doctor.found()["archive.org"]
    assert (state, "no keys" in found, "IA_ACCESS_KEY_ID" in remedy) == ("note", True, True)


@pytest.mark.parametrize(
    ("environment", "state", "said"),
    [
        ({"IA_SECRET_ACCESS_KEY": ""}, "warning", "must be set together"),
        ({"IA_SECRET_ACCESS_KEY": "planted\rsecretkey"}, "warning", "character that no key has"),
        ({"ARCHIVE_ORG_S3_URL": "http://127.0.0.1:9"}, "note", "could not be tried"),
        ({"IA_TIMEOUT": "soon"}, "warning", "IA_TIMEOUT"),
    ],
)
def test_keys_that_cannot_be_tried(
    doctor: Doctor, environment: dict[str, str], state: str, said: str
) -> None:
    doctor.environment.update(environment)
    found = doctor.found()["archive.org"]
    assert (found[0], said in found[1]) == (state, True)


@pytest.mark.parametrize(
    ("faults", "state", "said"),
    [
        ({"refusal": "keys"}, "warning", "does not exist in our records"),
        ({"refusal": "account"}, "warning", "Your account is locked"),
        ({"html": 1.0}, "note", "no JSON"),
        ({"down": True}, "note", "could not be tried"),
        ({"server_error": 1.0}, "note", "could not be tried"),
    ],
)
def test_keys_that_are_refused_or_not_answered(
    doctor: Doctor, sandbox: Sandbox, faults: dict[str, Any], state: str, said: str
) -> None:
    sandbox.set_faults({"archive": faults})
    found = doctor.found()["archive.org"]
    assert (found[0], said in found[1]) == (state, True)


def test_keys_of_a_file(doctor: Doctor, tmp_path: Path) -> None:
    for name in KEYS:
        del doctor.environment[name]
    access, secret = KEYS.values()
    (tmp_path / "ia.ini").write_text(f"[s3]\naccess = {access}\nsecret = {secret}\n")
    doctor.environment["IA_CONFIG_FILE"] = str(tmp_path / "ia.ini")
    assert doctor.found()["archive.org"][0] == "ok"
    (tmp_path / "ia.ini").write_text(f"[s3\naccess = {access}\nsecret = {secret}\n")
    assert "cannot be read" in doctor.found()["archive.org"][1]


# How it looks


def test_a_table_with_a_line_for_what_to_do(doctor: Doctor) -> None:
    doctor.environment["MAPILLARY_TOKEN"] = f'"{TOKEN}"'
    code, output = doctor.text()
    assert code == 2
    lines = output.splitlines()
    assert lines[0].split() == ["part", "state", "found"]
    (at,) = (number for number, line in enumerate(lines) if line.startswith("token"))
    assert lines[at].split()[:2] == ["token", "fault"]
    assert lines[at + 1].strip().startswith("→ leave them away")
    assert {line.partition("  ")[0] for line in lines[1:] if line[:1].strip()} == set(PARTS)


def test_on_a_terminal_it_fits(doctor: Doctor) -> None:
    command = [*SCRAPY, "doctor"]
    with on_terminal(command, doctor.environment, PROJECT, columns=80) as terminal:
        assert terminal.wait() == 0
    lines = terminal.text.splitlines()
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in lines)
    column = next(line.index("found") for line in lines if "found" in line)
    (at,) = (number for number, line in enumerate(lines) if line.strip().startswith("versions"))
    assert lines[at + 1][:column].strip() == ""
    assert lines[at + 1][column:].strip()


def test_what_is_no_option(doctor: Doctor) -> None:
    code, output = doctor.text("now")
    assert (code, output) == (2, "scrapy doctor: unexpected argument now; see scrapy doctor -h\n")
