"""Bad input: one clear line, an exit code, nothing requested, nothing written."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, Result

pytestmark = pytest.mark.slow

#: What is typed behind `scrapy`, and what the one line says; the exit code is 2. TMP is a folder.
WRONG = [
    # Which spider, and its name
    ("crawl", "say which spider: "),
    ("crawl usr -a username=alice", "no spider 'usr'"),
    ("crawl User -a username=alice", "no spider 'User'"),
    ("crawl alice", "no spider 'alice'"),
    ("crawl user", "username is missing"),
    ("crawl user alice", "'alice' is not understood"),
    ("crawl user -- alice", "is not understood"),
    ("crawl user username=alice", "'username=alice' is not understood"),
    ("crawl user -a username=alice --fast", "'--fast' is not understood"),
    ("crawl user -a username=alice -x", "'-x' is not understood"),
    ("crawl user -a", "-a: expected one argument"),
    ("crawl user -a username=alice --logfile='$LOGS/log'", "LOG_FILE '$LOGS/log' has a variable"),
    ("crawl user -a username=alice --logfile=~no-such-user/log", "there is no such user's home"),
    ("crawl user -a username=alice -s 'JOBDIR=${JOBS}/a'", "JOBDIR '${JOBS}/a' has a variable"),
    ("plan alice -s JOBDIR=~no-such-user/job", "there is no such user's home"),
    ("crawl user -a username", "-a NAME=VALUE"),
    ("crawl user -a =alice", "unknown argument ''"),
    ("crawl user -a username=", "username is empty"),
    ("crawl user -a 'username=  '", "username is empty"),
    ("crawl user -a username=.", "username '.' cannot be"),
    ("crawl user -a username=..", "username '..' cannot be"),
    ("crawl user -a username=a/b", "username 'a/b' cannot be"),
    ("crawl user -a username=https://www.mapillary.com/app/?pKey=1", "/app/user/NAME, say NAME"),
    ("crawl user -a username=https://example.org/app/user/alice", "/app/user/NAME, say NAME"),
    ("crawl user -a 'username=a\tb'", "characters that no name has"),
    ("crawl user -a 'username=a\x1bb'", "characters that no name has"),
    ("crawl user -a usernam=alice", "unknown argument 'usernam'"),
    ("crawl user -a user=alice", "unknown argument 'user'"),
    ("crawl user -a username=alice -a Quality=256", "unknown argument 'Quality'"),
    # Values of arguments
    ("crawl user -a username=alice -a quality=512", "allowed are 256, 1024, 2048, original"),
    ("crawl user -a username=alice -a quality=", "quality '' is unknown"),
    ("crawl user -a username=alice -a quality=256px", "quality '256px' is unknown"),
    ("crawl user -a username=alice -a quality=Original", "quality 'Original' is unknown"),
    ("crawl user -a username=alice -a webp=yes", "webp 'yes' is not understood"),
    ("crawl user -a username=alice -a jxl=yes", "jxl 'yes' is not understood"),
    ("crawl user -a username=alice -a webp=1 -a jxl=1", "webp=1 and jxl=1 do not go together"),
    ("crawl user -a username=alice -a webp=", "webp '' is not understood"),
    ("crawl user -a username=alice -a webp=true", "allowed are 0 and 1"),
    ("crawl user -a username=alice -a tar=2", "tar '2' is not understood"),
    ("crawl user -a username=alice -a tar=no", "tar 'no' is not understood"),
    ("crawl user -a username=alice -a check_ia=off", "check_ia 'off' is not understood"),
    ("crawl user -a username=alice -a accept_failed=-1", "accept_failed '-1'"),
    ("crawl user -a username=alice -a bbox=", "bbox '' is not west,south,east,north"),
    ("crawl user -a username=alice -a bbox=1,2,3", "bbox '1,2,3' is not"),
    ("crawl user -a username=alice -a bbox=1,2,3,4,5", "is not west,south,east,north"),
    ("crawl user -a username=alice -a 'bbox=1 2 3 4'", "is not west,south,east,north"),
    ("crawl user -a username=alice -a bbox=a,b,c,d", "is not west,south,east,north"),
    ("crawl user -a username=alice -a bbox=nan,1,2,3", "is not west,south,east,north"),
    ("crawl user -a username=alice -a bbox=0,0,inf,1", "is not west,south,east,north"),
    ("crawl user -a username=alice -a bbox=170,0,-170,1", "two boxes"),
    ("crawl user -a username=alice -a bbox=1,0,1,1", "two boxes"),
    ("crawl user -a username=alice -a bbox=0,1,1,0", "south is not south of north"),
    ("crawl user -a username=alice -a bbox=0,1,1,1", "south is not south of north"),
    ("crawl user -a username=alice -a bbox=0,0,181,1", "leaves the Earth"),
    ("crawl user -a username=alice -a bbox=0,-91,1,1", "leaves the Earth"),
    ("crawl user -a username=alice -a bbox=-33.9,151.1,-33.8,151.3",
     "with latitude first it would be 151.1,-33.9,151.3,-33.8"),
    ("crawl user -a username=alice -a start=2024-02-30", "start '2024-02-30' is no day"),
    ("crawl user -a username=alice -a start=2024-2-3", "write it as YYYY-MM-DD"),
    ("crawl user -a username=alice -a start=20240203", "write it as YYYY-MM-DD"),
    ("crawl user -a username=alice -a start=2024", "write it as YYYY-MM-DD"),
    ("crawl user -a username=alice -a start=", "start '' is no day"),
    ("crawl user -a username=alice -a start=yesterday", "start 'yesterday' is no day"),
    ("crawl user -a username=alice -a end=03.02.2024", "end '03.02.2024' is no day"),
    ("crawl user -a username=alice -a end=2024-02-03T00:00:00", "is no day"),
    ("crawl user -a username=alice -a start=2024-02-02 -a end=2024-02-01", "lies after end"),
    ("crawl user -a username=alice -a sequence=", "sequence '' is no id of a sequence"),
    ("crawl user -a username=alice -a sequence=a,../b", "sequence '../b'"),
    ("crawl user -a username=alice -a stop_after=soon", "stop_after 'soon' is not understood"),
    ("crawl user -a username=alice -a stop_after=0h", "stop_after '0h' is out of range"),
    # What goes to archive.org
    ("crawl user -a username=alice -a upload=yes", "upload 'yes' is not understood"),
    ("crawl user -a username=alice -a remove=", "remove '' is not understood"),
    ("crawl user -a username=alice -a remove=1", "say upload=1 too"),
    ("crawl user -a username=alice -a upload=0 -a remove=1", "say upload=1 too"),
    ("crawl user -a username=alice -a upload=1 -a tar=0", "upload=1 does not go with tar=0"),
    ("crawl user -a username=alice -a upload=1 -a start=2024-01-01", "not go with a selection"),
    ("crawl user -a username=alice -a upload=1 -a sequence=A", "not go with a selection"),
    ("crawl user -a username=alice -a upload=1 -a bbox=1,1,2,2", "not go with a selection"),
    # Settings
    ("crawl user -a username=alice -s", "--set: expected one argument"),
    ("crawl user -a username=alice -s TAR_MAX_BYTES", "-s NAME=VALUE"),
    ("crawl user -a username=alice -s TAR_MAX_BYTES=ten", "TAR_MAX_BYTES"),
    ("crawl user -a username=alice -s TAR_MAX_BYTES=0", "TAR_MAX_BYTES"),
    ("crawl user -a username=alice -s TAR_MAX_BYTES=-1", "TAR_MAX_BYTES"),
    ("crawl user -a username=alice -s MIN_FREE_BYTES=some", "MIN_FREE_BYTES"),
    ("crawl user -a username=alice -s MIN_FREE_BYTES=-1", "MIN_FREE_BYTES"),
    ("crawl user -a username=alice -s SLICE_IMAGES=0", "SLICE_IMAGES '0' is out of range"),
    ("crawl user -a username=alice -a slice=1", "slice 1: there is no such collection"),
    ("crawl user -a username=alice -s STAGING_MAX_BYTES=x", "STAGING_MAX_BYTES 'x' is not under"),
    ("crawl user -a username=alice -s STAGING_MAX_BYTES=", "STAGING_MAX_BYTES '' is not under"),
    ("crawl user -a username=alice -s STAGING_MAX_BYTES=-1", "STAGING_MAX_BYTES '-1'"),
    ("crawl user -a username=alice -s STAGING_MAX_BYTES=nan", "STAGING_MAX_BYTES 'nan'"),
    ("crawl user -a username=alice -s STAGING_MAX_BYTES=60Gb/s", "STAGING_MAX_BYTES '60Gb/s'"),
    ("crawl user -a username=alice -s IN_FLIGHT_BYTES=x", "IN_FLIGHT_BYTES"),
    ("crawl user -a username=alice -s IMAGE_ATTEMPTS=0", "IMAGE_ATTEMPTS"),
    ("crawl user -a username=alice -s IMAGE_ATTEMPTS=six", "IMAGE_ATTEMPTS"),
    ("crawl user -a username=alice -s API_PATIENCE=x", "API_PATIENCE"),
    ("crawl user -a username=alice -s API_PATIENCE=nan", "API_PATIENCE"),
    ("crawl user -a username=alice -s MAPILLARY_CONCURRENCY_MAX=0", "MAPILLARY_CONCURRENCY_MAX"),
    ("crawl user -a username=alice -s MAPILLARY_CONCURRENCY_MIN=x", "MAPILLARY_CONCURRENCY_MIN"),
    ("crawl user -a username=alice -s MAPILLARY_CONCURRENCY_FIXED=-1", "MAPILLARY_CONCURRENCY_F"),
    ("crawl user -a username=alice -s WEBP_QUALITY=101 -a webp=1", "WEBP_QUALITY"),
    ("crawl user -a username=alice -s WEBP_QUALITY=x -a webp=1", "WEBP_QUALITY"),
    ("crawl user -a username=alice -s WEBP_METHOD=7 -a webp=1", "WEBP_METHOD"),
    ("crawl user -a username=alice -s WEBP_ENCODER=gif", "allowed are auto, cwebp, pillow"),
    ("crawl user -a username=alice -s JPEG_WALK=2", "JPEG_WALK"),
    ("crawl user -a username=alice -s MAPILLARY_API_URL=http://example.org", "may not get the"),
    ("crawl user -a username=alice -s MAPILLARY_API_URL=https://graph.mapillary.com.evil.org",
     "may not get the token"),
    ("crawl user -a username=alice -s MAPILLARY_API_URL=graph.mapillary.com", "MAPILLARY_API_URL"),
    ("crawl user -a username=alice -s MAPILLARY_API_URL=ftp://graph.mapillary.com", "_API_URL"),
    ("crawl user -a username=alice -s ARCHIVE_ORG_URL=archive.org", "ARCHIVE_ORG_URL"),
    ("crawl user -a username=alice -s MAPILLARY_STORE=", "MAPILLARY_STORE"),
    ("crawl user -a username=alice -s MAPILLARY_STORE=/proc/none", "/proc/none"),
    ("crawl user -a username=alice -s MAPILLARY_STORE=TMP/file", "TMP/file"),
    ("crawl user -a username=alice -s MAPILLARY_STAGING=/proc/none", "/proc/none"),
    ("crawl user -a username=alice -s JOBDIR=/proc/none", "JOBDIR /proc/none"),
    ("crawl user -a username=alice -L LOUD", "LOG_LEVEL 'LOUD'"),
    ("crawl user -a username=alice -L", "expected one argument"),
    ("crawl user -a username=alice --logfile /proc/no/log", "LOG_FILE /proc/no/log"),
    ("crawl user -a username=alice --nolog=1", "ignored explicit argument '1'"),
    # Many users
    ("archive", "say which users"),
    ("archive --", "say which users"),
    ("archive ''", "username is empty"),
    ("archive alice a/b", "username 'a/b' cannot be"),
    ("archive alice -a quality=3", "quality '3' is unknown"),
    ("archive alice -a quality", "written -a NAME=VALUE"),
    ("archive alice -a username=bob", "-a username= has no place here"),
    ("archive alice -a speed=9", "unknown argument 'speed'"),
    ("archive alice bob -a remove=1", "say upload=1 too"),
    ("archive alice bob -a upload=1 -a tar=0", "upload=1 does not go with tar=0"),
    ("archive alice bob -a upload=1 -a end=2024-01-01", "not go with a selection"),
    ("archive alice -s STAGING_MAX_BYTES=x", "STAGING_MAX_BYTES"),
    ("archive alice --jobs", "--jobs: expected one argument"),
    ("archive alice --jobs 0", "--jobs '0' cannot be"),
    ("archive alice --jobs -1", "--jobs"),
    ("archive alice --jobs 1x", "--jobs '1x' cannot be"),
    ("archive alice --jobs 1.5", "--jobs '1.5' cannot be"),
    ("archive alice --from", "--from: expected one argument"),
    ("archive --from TMP/missing", "TMP/missing cannot be read"),
    ("archive --from TMP", "TMP cannot be read"),
    ("archive --from TMP/names", "say which users"),
    ("archive --from TMP/binary", "TMP/binary cannot be read"),
    ("archive alice --all", "unknown option --all"),
    ("archive -jones", "unknown option -jones"),
    ("archive alice -s MIN_FREE_BYTES=x", "MIN_FREE_BYTES"),
    # A plan
    ("plan", "say which user"),
    ("plan ''", "username is empty"),
    ("plan a/b", "username 'a/b' cannot be"),
    ("plan ./mapillary-alice-256", "cannot be: names have no '/'"),
    ("plan alice --foo", "unknown option --foo"),
    ("plan alice -a quality=512", "quality '512' is unknown"),
    ("plan alice -a quality", "NAME=VALUE"),
    ("plan alice -a username=bob", "-a username= has no place here"),
    ("plan alice bob -o x.jsonl", "-o is for a single user"),
    ("plan alice bob --pidfile=x", "--pidfile is for a single user"),
    ("plan alice --json=1", "ignored explicit argument '1'"),
    ("plan alice -s TAR_MAX_BYTES=x", "TAR_MAX_BYTES"),
    # What is here
    ("status nothing", "there is no collection 'nothing'"),
    ("status ./nothing", "there is no collection './nothing' on the disk"),
    ("status ''", "there is no collection ''"),
    ("status alice -a quality=512", "quality '512' is unknown"),
    ("status alice -a webp=1", "-a webp=1 has no place here"),
    ("status --faults", "unknown option --faults"),
    ("status --failed=1", "ignored explicit argument '1'"),
    ("status -s MAPILLARY_STORE=", "MAPILLARY_STORE"),
    ("verify", "say which collection"),
    ("verify nothing", "there is no collection 'nothing'"),
    ("verify alice -a quality=256", "'alice' at quality 256"),
    ("verify TMP/file", "there is no collection 'TMP/file'"),
    ("verify TMP/empty", "TMP/empty"),
    ("verify --quick x", "unknown option --quick"),
    ("verify --fast --full x", "not allowed with argument --fast"),
    ("clean x", "unexpected argument x"),
    ("clean -- -x", "unexpected argument -x"),
    ("clean --force", "unexpected argument --force"),
    ("adopt", "say which folder"),
    ("adopt TMP/empty TMP/empty", "say which folder"),
    ("adopt --foo", "unknown option --foo"),
    ("adopt TMP/missing", "TMP/missing"),
    # archive.org
    ("ia_upload", "say which collection"),
    ("ia_upload ''", "there is no collection ''"),
    ("ia_upload nothing", "there is no collection 'nothing'"),
    ("ia_upload TMP/empty", "TMP/empty"),
    ("ia_upload --foo", "unknown option --foo"),
    ("ia_upload x --dry-run=x", "ignored explicit argument 'x'"),
    ("ia_upload x -a quality=1", "quality '1' is unknown"),
    ("ia_stats x", "unexpected argument x"),
    ("ia_stats --json=1", "ignored explicit argument '1'"),
]  # fmt: skip

Execute = Callable[[str], Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what command lines of the table name."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "empty").mkdir()
    (folder / "file").touch()
    (folder / "names").write_text("# nobody\n\n")
    (folder / "binary").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module")
def execute(folder: Path) -> Iterator[Execute]:
    """Return what runs a command line; in the end nothing was requested, and nothing is there."""
    with Sandbox.running([{"username": "alice", "images": 3}]) as own:
        crawling = Crawling(folder / "store", own)
        before, files = own.counters()["requests"], sorted(folder.rglob("*"))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.whole.command_lines"], cwd=PROJECT,
            env={**crawling.environment, "SCRAPY_SETTINGS_MODULE": "mapillary_crawler.settings"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout

        def run(line: str) -> Result:
            words = shlex.split(line.replace("TMP", str(folder)))
            process.stdin.write(f"{json.dumps(words)}\n")
            process.stdin.flush()
            return Result(*json.loads(process.stdout.readline()))

        with process:
            yield run
            process.stdin.close()
        assert own.counters()["requests"] == before
        assert sorted(folder.rglob("*")) == files


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_a_wrong_command_line_is_one_line(
    execute: Execute, folder: Path, line: str, said: str
) -> None:
    result = execute(line)
    assert result.code == 2, result.output
    assert len(result.lines) == 1, result.output
    assert result.output.startswith(f"scrapy {line.split(maxsplit=1)[0]}: ")
    assert said.replace("TMP", str(folder)) in result.output


#: The same through a process of their own, as a person has it.
REAL = {line: said for line, said in WRONG[::12] if "TMP" not in line}


@pytest.mark.parametrize("line", REAL)
def test_a_wrong_command_line_in_a_process(crawling: Crawling, sandbox: Sandbox, line: str) -> None:
    before = sandbox.counters()["requests"]
    result = crawling.scrapy(*shlex.split(line))
    assert result.code == 2
    assert len(result.lines) == 1
    assert REAL[line] in result.output
    assert sandbox.counters()["requests"] == before
    assert not crawling.store.exists()


@pytest.mark.parametrize("token", ["", "  \n"])
def test_no_token(crawling: Crawling, token: str) -> None:
    crawling.environment["MAPILLARY_TOKEN"] = token
    result = crawling.run(username="alice")
    assert result.code == 2
    assert len(result.lines) == 1
    assert "https://www.mapillary.com/dashboard/developers" in result.output


def test_spaces_around_the_token_are_stripped_and_it_is_never_shown(
    crawling: Crawling, sandbox: Sandbox
) -> None:
    crawling.environment["MAPILLARY_TOKEN"] = f" {sandbox.token}\n"
    result = crawling.run("-L", "DEBUG", username="alice", quality="256")
    assert result.code == 0
    assert sandbox.token not in result.output
    assert sandbox.token.split("|")[2] not in result.output
