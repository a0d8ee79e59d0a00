"""`scrapy extract`: files that are proven, what is missing by name, and nothing else touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.collection.layout import LEDGER_PATH
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState
from tests.archive.finish.made import NOON, Picture, jpeg
from tests.commands.in_process import BODIES, NAME, Commands, made, tree
from tests.range_server import downloads

ALL = {
    "a_uX-1/11.jpg": b"one" * 400,
    "a_uX-1/12.jpg": b"two" * 900,
    "13.jpg": b"three",
    "b/21.webp": b"four" * 300,
    "b/31.jpg": b"five",
}
FIRST_DAY = "2024-01-15.tar"


@pytest.fixture
def commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Commands:
    return Commands(tmp_path / "store", capfd, monkeypatch)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out"


def remove(folder: Path, tar: str, item: str | None = "the-item") -> bytes:
    """Take a tar away as after its upload, and return it."""
    body = (folder / tar).read_bytes()
    (folder / tar).unlink()
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.pieces.set_state(tar, PieceState.REMOVED, item)
    return body


@pytest.mark.parametrize("tar", [True, False])
@pytest.mark.parametrize("has_ledger", [True, False])
def test_all_images_with_their_times_and_once(
    commands: Commands, target: Path, tar: bool, has_ledger: bool
) -> None:
    folder = made(commands.store, tar=tar)
    if not has_ledger:
        shutil.rmtree(folder / ".crawl")
    before = tree(folder)
    assert commands.run("extract", "ann", target) == 0, commands.err
    assert tree(target) == ALL
    assert (target / "a_uX-1/12.jpg").stat().st_mtime_ns == (NOON + 1000) * 1_000_000
    assert f"{NAME}: 5 images, 5.1 kB, extracted to {target}\n" in commands.out
    assert tree(folder) == before

    inodes = {path: path.stat().st_ino for path in target.rglob("*.*")}
    (target / "13.jpg").write_bytes(b"thrEE")
    (target / "b/31.jpg").unlink()
    (target / "b/.31.jpg.part").write_bytes(b"fi")  # of a run that was killed
    assert commands.run("extract", NAME, target) == 0, commands.err
    assert tree(target) == ALL
    assert "2 images" in commands.out
    assert "3 were there already" in commands.out
    again = {path for path in target.rglob("*.*") if path.stat().st_ino != inodes[path]}
    assert again <= {target / "13.jpg", target / "b/31.jpg"}


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (["--layout=flat", "--name={time}_{id}"],
         ["20240115-120000_11.jpg", "20240115-120001_12.jpg", "20240115-120002_13.jpg",
          "20240116-120000_21.webp", "unknown-date_31.jpg"]),
        (["--layout=day", "--day=2024-01-16,unknown-date"],
         ["2024-01-16/21.webp", "unknown-date/31.jpg"]),
        (["--sequence=b", "--day=2024"], ["b/21.webp"]),
        (["--sequence=a_uX-1", "--sequence=x"], ["a_uX-1/11.jpg", "a_uX-1/12.jpg"]),
        (["--bbox=13.4,52.5,14,53", "--day=2024-01-16"], ["b/21.webp"]),
    ],
)  # fmt: skip
def test_some_images(
    commands: Commands, target: Path, options: list[str], files: list[str]
) -> None:
    made(commands.store)
    assert commands.run("extract", NAME, target, *options) == 0, commands.err
    assert sorted(tree(target)) == files


def test_ids_of_a_file(commands: Commands, target: Path, tmp_path: Path) -> None:
    made(commands.store)
    (tmp_path / "ids").write_text("12\n\n 31 \n")
    assert commands.run("extract", NAME, target, "--ids", tmp_path / "ids") == 0
    assert sorted(tree(target)) == ["a_uX-1/12.jpg", "b/31.jpg"]
    (tmp_path / "ids").write_text("11\n98\n")
    assert commands.run("extract", NAME, target, "--ids", tmp_path / "ids") == 3
    assert f"{NAME}: no saved image 98 is wanted" in commands.out
    assert "1 are missing" in commands.out
    assert (target / "a_uX-1/11.jpg").exists()
    (tmp_path / "ids").write_text("98\n")
    assert commands.run("extract", NAME, target, "--ids", tmp_path / "ids") == 8


def test_a_cut_tar_costs_what_is_behind_the_cut(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    with (folder / FIRST_DAY).open("r+b") as tar:
        tar.truncate(1024 + 512 + 1024 + 1000)  # within the second image
    assert commands.run("extract", NAME, target) == 3
    lines = [line for line in commands.out.splitlines() if "missing, " in line]
    member = "2024-01-15/a_u5f_uX-1/12.jpg"
    assert any(f"{NAME}/{FIRST_DAY}: {member}: missing, the tar is cut off" in x for x in lines)
    assert set(tree(target)) == set(ALL) - {
        path for path in ALL if any(f"{Path(path).stem}.jpg: missing" in line for line in lines)
    }
    assert len(tree(target)) + len(lines) == len(ALL)
    assert f"; {len(lines)} are missing" in commands.out


def test_changed_bytes_are_not_extracted(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    body = (folder / FIRST_DAY).read_bytes()
    (folder / FIRST_DAY).write_bytes(body.replace(b"three", b"thrxe"))
    assert commands.run("extract", NAME, target) == 3
    assert "13.jpg: missing, its bytes are not those that were stored" in commands.out
    assert set(tree(target)) == set(ALL) - {"13.jpg"}


def test_a_removed_part_is_named_once(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    remove(folder, FIRST_DAY)
    (folder / "unknown-date.tar").unlink()
    assert commands.run("extract", NAME, target) == 3
    assert (
        f"{NAME}/{FIRST_DAY}: missing, and with it 3 images; archive.org's the-item has it: "
        "add --remote\n" in commands.out
    )
    assert f"{NAME}/unknown-date.tar: missing, and with it 1 image; --remote" in commands.out
    assert sorted(tree(target)) == ["b/21.webp"]


def test_a_removed_part_comes_from_archive_org(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    with downloads() as served:
        served.files[f"the-item/{FIRST_DAY}"] = remove(folder, FIRST_DAY)
        settings = ["-s", f"ARCHIVE_ORG_URL={served.url}", "-s", "IA_RETRY_WAIT=0"]
        served.statuses = [503]
        assert commands.run("extract", NAME, target, "--remote", *settings) == 0, commands.err
        assert "HTTP 503; trying again" in commands.err
        assert tree(target) == ALL
        assert len(served.asked) == 2  # neighbours come at once, and the rest is here
        assert commands.run("extract", NAME, target, "--remote", *settings) == 0
        assert len(served.asked) == 2  # what is there is not asked for


def test_without_a_ledger_the_folder_names_the_item(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    shutil.rmtree(folder / ".crawl")
    with downloads() as served:
        for tar in folder.glob("*.tar"):
            served.files[f"{NAME}/{tar.name}"] = tar.read_bytes()
            tar.unlink()
        settings = ["-s", f"ARCHIVE_ORG_URL={served.url}"]
        assert commands.run("extract", NAME, target, "--remote", *settings) == 0, commands.err
    assert tree(target) == ALL


def test_what_archive_org_sends_is_proven(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    with downloads() as served:
        body = remove(folder, FIRST_DAY).replace(b"three", b"thrxe")
        served.files[f"the-item/{FIRST_DAY}"] = body
        settings = ["-s", f"ARCHIVE_ORG_URL={served.url}"]
        assert commands.run("extract", NAME, target, "--remote", *settings) == 3
        assert "13.jpg: missing, its bytes are not those that were stored" in commands.out
        assert set(tree(target)) == set(ALL) - {"13.jpg"}
        served.files.clear()
        shutil.rmtree(target)
        assert commands.run("extract", NAME, target, "--remote", *settings) == 3
        assert "archive.org's the-item: archive.org has no such file" in commands.out
        served.statuses = [500] * 5
        patience = ["-s", "IA_PATIENCE=0"]
        assert commands.run("extract", NAME, target, "--remote", *settings, *patience) == 7
        assert "archive.org stayed unavailable" in commands.out
        assert sorted(tree(target)) == ["b/21.webp", "b/31.jpg"]


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / LEDGER_PATH)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE images SET day = '../../..' WHERE id = '13'", "leads elsewhere"),
        ("UPDATE images SET offset = -1 WHERE id = '13'", "no image has 5 bytes at byte -1"),
        ("UPDATE images SET size = 1 << 40 WHERE id = '13'", "no image has 1099511627776 bytes"),
        ("UPDATE images SET size = NULL WHERE id = '13'", "it has no place"),
        ("UPDATE images SET sha256_stored = NULL WHERE id = '13'", "not those that were stored"),
        ("UPDATE images SET extension = NULL WHERE id = '13'", "13"),
        ("UPDATE images SET extension = '../x' WHERE id = '13'", "13"),
        ("UPDATE images SET page = 99 WHERE id = '13'", ""),
        ("UPDATE pieces SET name = '../../../etc/passwd' WHERE day = '2024-01-15'", "elsewhere"),
    ],
)
def test_a_hostile_ledger(
    commands: Commands, target: Path, tmp_path: Path, statement: str, said: str
) -> None:
    folder = made(commands.store)
    change(folder, statement)
    outside = {path for path in tmp_path.rglob("*") if target not in path.parents}
    code = commands.run("extract", NAME, target, "--layout=day")
    assert code == (3 if said else 0), commands.err + commands.out
    assert said in commands.out
    assert "Traceback" not in commands.err
    assert (target / "2024-01-16/21.webp").read_bytes() == b"four" * 300
    assert {path for path in tmp_path.rglob("*") if target not in path.parents} - outside <= {
        target
    }


@pytest.mark.parametrize(
    "change_to", ["offset = 9e99", "size = x'00'", "id = x'ff'", "sequence = x'00'", "day = x'2f'"]
)
def test_what_is_no_ledger(commands: Commands, target: Path, change_to: str) -> None:
    folder = made(commands.store)
    change(folder, f"UPDATE images SET {change_to} WHERE id = '13'")
    told = [["extract", NAME, target]]
    if change_to.startswith(("sequence", "day")):  # tracks look at nothing else of it
        told.append(["tracks", NAME])
    for command in told:
        assert commands.run(*command) == 1
        assert commands.err.splitlines()[-1].endswith("the ledger is damaged: an image is no image")
        assert "Traceback" not in commands.err


def test_links_are_not_followed(commands: Commands, target: Path, tmp_path: Path) -> None:
    folder = made(commands.store)
    (folder / FIRST_DAY).rename(tmp_path / "elsewhere.tar")
    (folder / FIRST_DAY).symlink_to(tmp_path / "elsewhere.tar")
    target.mkdir()
    (tmp_path / "mine").mkdir()
    (target / "b").symlink_to(tmp_path / "mine")
    assert commands.run("extract", NAME, target) == 3
    assert f"{FIRST_DAY}: missing, and with it 3 images; it is a link" in commands.out
    assert f"{target / 'b'} is a link, which is not followed" in commands.out
    assert list((tmp_path / "mine").iterdir()) == []
    assert "5 are missing" in commands.out


def test_special_files_in_the_way_are_named(commands: Commands, target: Path) -> None:
    made(commands.store)
    target.mkdir()
    os.mkfifo(target / "13.jpg")
    assert commands.run("extract", NAME, target) == 3
    assert "is a pipe, which is not followed" in commands.out
    assert stat.S_ISFIFO((target / "13.jpg").stat().st_mode)
    assert (target / "b/31.jpg").exists()


def test_what_cannot_be_is_one_line(commands: Commands, target: Path) -> None:
    folder = made(commands.store)
    for arguments, code, said in (
        ([NAME], 2, "say which collection, and where to"),
        ([NAME, folder / "out"], 2, "lies within the collection"),
        ([NAME, target, "--name={time}"], 2, "lacks {id}"),
        ([NAME, target, "--day=May"], 2, "is no day"),
        ([NAME, target, "--ids=/does/not/exist"], 1, "/does/not/exist: No such file"),
        ([NAME, target, "--day=1999"], 8, "no saved image that is wanted"),
        (["nothing", target], 2, "there is no collection 'nothing'"),
    ):
        assert commands.run("extract", *arguments) == code
        assert said in commands.err
        assert len(commands.err.splitlines()) == 1
    lock = Lock({commands.store}, NAME)
    try:
        assert commands.run("extract", NAME, target) == 9
    finally:
        lock.release()
    assert not target.exists()


def test_jpeg_xl_gives_back_its_jpeg(commands: Commands, target: Path) -> None:
    pylibjxl: Any = pytest.importorskip("pylibjxl")
    source = jpeg()
    packed = pylibjxl.JXL(threads=1, pool_size=1).jpeg_to_jxl(source)
    digest = hashlib.sha256(source).digest()
    picture = Picture("41", NOON, "s", packed, extension="jxl", sha256_jpeg=digest)
    folder = made(commands.store, pictures=[picture, *BODIES])
    assert commands.run("extract", NAME, target, "--sequence=s") == 0
    assert (target / "s/41.jxl").read_bytes() == packed
    for said in ("1 images", "1 were there already"):
        assert commands.run("extract", NAME, target, "--sequence=s", "--jpeg") == 0, commands.err
        assert said in commands.out
    assert (target / "s/41.jpg").read_bytes() == source
    (target / "s/41.jpg").unlink()
    change(folder, "UPDATE images SET sha256_jpeg = zeroblob(32) WHERE id = '41'")
    assert commands.run("extract", NAME, target, "--sequence=s", "--jpeg") == 3
    assert "has another checksum" in commands.out
    assert not (target / "s/41.jpg").exists()


def test_unfinished_collections_have_what_there_is(commands: Commands, target: Path) -> None:
    folder = made(commands.store, tar=False)
    folder.rename(commands.store / ".incomplete" / NAME)
    assert commands.run("extract", NAME, target) == 0, commands.err
    assert tree(target) == ALL


def test_no_name_in_the_output_is_obeyed_by_a_terminal(commands: Commands, target: Path) -> None:
    made(commands.store, pictures=[Picture("\x1b[31m", NOON, None, b"red"), *BODIES[:1]])
    change(commands.store / NAME, "UPDATE images SET offset = 1 WHERE id <> '11'")
    assert commands.run("extract", NAME, target) == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", commands.out)
    assert json.dumps(commands.out).count("missing") == 2
