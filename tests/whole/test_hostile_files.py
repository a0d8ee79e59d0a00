"""Files that unpack to no end, and what desktops leave: no memory, no waiting, one line."""

from __future__ import annotations

import gzip
import io
import os
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mapillary_crawler.collection import limits
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.adopt.peer_folder import PeerFolder
from tests.archive.finish.made import NOON, Picture, add, finish, jpeg
from tests.crawling import PROJECT, SCRAPY, Crawling, Result

pytestmark = pytest.mark.slow

DAY = "2024-01-15"
#: What a command may map in all, libraries and the stacks of its threads included.
_MEMORY = 1536 << 20
CLUTTER = (".DS_Store", "._a", "Thumbs.db", "desktop.ini", "@eaDir/1.jpg/SYNOPHOTO.jpg")


def bounded(crawling: Crawling, *command: str) -> Result:
    """Run a command that may map no more than a little."""
    done = subprocess.run(
        [*SCRAPY, *command],
        cwd=PROJECT,
        env={**crawling.environment, "MALLOC_ARENA_MAX": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY)),
    )
    return Result(done.returncode, done.stdout)


def zeros(path: Path) -> None:
    """Write a gzip file of some MB that unpacks to 4 GB without a newline."""
    member = gzip.compress(bytes(64 << 20), mtime=0)
    path.write_bytes(member * 64)


def empty_lines(path: Path) -> None:
    """Write a gzip file of some MB that unpacks to a thousand times that, in lines."""
    path.write_bytes(gzip.compress(b"\n" * (64 << 20), mtime=0) * 40)


def sparse(path: Path) -> None:
    """Write a file of 1 TB that takes no room."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, 1 << 40)


def long_header(path: Path, kind: bytes = tarfile.XHDTYPE) -> None:
    """Put a header of 300 MB before what a tar holds."""
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, 300 << 20
    content = path.read_bytes() if path.exists() else b""
    with path.open("wb") as tar:
        tar.write(entry.tobuf(tarfile.USTAR_FORMAT))
        record = b"%d comment=" % (300 << 20)
        tar.write(record + b"x" * (1 << 20))
        tar.seek(512 + (300 << 20) - 1)
        tar.write(b"\n")
        tar.write(content)


def long_name(path: Path) -> None:
    long_header(path, tarfile.GNUTYPE_LONGNAME)


def many_members(path: Path) -> None:
    """Put empty members before what a tar holds, more than any tar has of them."""
    content = path.read_bytes() if path.exists() else b""
    header = tarfile.TarInfo(f"{DAY}/x.txt").tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(header * (5 * limits.TAR_STRANGERS) + content)


#: A file of a collection, what is put in its place, and what one line says.
COLLECTION: list[tuple[str, Callable[[Path], None], str]] = [
    ("metadata.jsonl.gz", zeros, "it is no such file"),
    ("metadata.jsonl.gz", empty_lines, "metadata.jsonl.gz line 1 cannot be read"),
    ("checksums.jsonl.gz", zeros, "it is no such file"),
    ("gone.jsonl", sparse, "it is no such file"),
    ("damaged.jsonl", sparse, f"has more than {limits.DAMAGED_BYTES:,} bytes"),
    ("SHA256SUMS", sparse, "it is no such file"),
    (f"{DAY}.tar", many_members, "it is no such tar"),
    (f"{DAY}.tar", long_header, "changed"),
    (f"{DAY}.tar", long_name, "changed"),
]


@pytest.mark.long
@pytest.mark.parametrize("by", ["ledger", "manifests"])
def test_verify_takes_no_memory_for_hostile_files(tmp_path: Path, by: str) -> None:
    pictures = [Picture(str(number), NOON, "seq", jpeg()) for number in range(3)]
    add(tmp_path / "staging", pictures)
    whole = finish(tmp_path / "staging", tmp_path / "made").destination
    folders = {}
    for number, (place, make, told) in enumerate(COLLECTION):
        if by == "ledger" and not place.endswith(".tar"):
            continue
        folder = Path(shutil.copytree(whole, tmp_path / f"mapillary-{number}-original"))
        if by == "manifests":
            shutil.rmtree(folder / ".crawl")
        make(folder / place)
        folders[folder] = (place, told)
    result = bounded(Crawling(tmp_path / "store"), "verify", *map(str, folders))
    assert "Traceback" not in result.output
    assert "MemoryError" not in result.output
    for folder, (place, told) in folders.items():
        lines = [line for line in result.lines if line.startswith(folder.name)]
        assert any(place in line and told in line for line in lines), (place, lines[:5])
        assert len(lines) < 150, place
    assert result.code == 1


FOREIGN: list[tuple[str, Callable[[Path], None], int, str]] = [
    ("metadata.jsonl.gz", zeros, 2, "it is no such file"),
    ("metadata.jsonl.gz", empty_lines, 2, "it is no such file"),
    ("metadata.jsonl", sparse, 2, "it is no such file"),
    ("metadata.jsonl.gz", os.mkfifo, 2, "is a pipe, which is not followed"),
    (f"{DAY}.tar", many_members, 2, "it is no such file"),
    ("seq.tar", many_members, 2, "nothing was changed"),
    (f"{DAY}.tar", long_header, 0, "cannot be read to their end"),
    ("s.tar", long_name, 0, "cannot be read to their end"),
    (".meta/title/0", sparse, 1, "has more than 1,048,576 bytes"),
]


@pytest.mark.long
@pytest.mark.parametrize(("place", "make", "code", "told"), FOREIGN)
def test_adopt_takes_no_memory_for_hostile_files(
    tmp_path: Path, place: str, make: Callable[[Path], None], code: int, told: str
) -> None:
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    peer.list({"id": "11", "sequence": "seq", "captured_at": NOON})
    peer.save(f"{DAY}/seq/11.jpg", jpeg())
    path = peer.write()
    if make is os.mkfifo:
        (path / place).unlink()
    make(path / place)
    result = bounded(Crawling(tmp_path / "store"), "adopt", str(path))
    assert "Traceback" not in result.output
    assert result.code == code, result.output
    assert told in result.output
    assert len(result.lines) < 10
    if code:
        assert (path / f"{DAY}.tar").exists()


def leave_clutter(*folders: Path) -> None:
    for folder in folders:
        for name in CLUTTER:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"\0\0\0\1Bud1")


def test_clutter_of_desktops_is_named_and_no_fault(tmp_path: Path) -> None:
    """From adoption to archive.org's door: adopt, status, crawl, verify, clean."""
    users = [{"username": "ann", "images": 8, "days": 1}]
    with Sandbox.running(users, seed=3) as sandbox:
        image, *others = sandbox.catalogue.user("ann").images()
        peer = PeerFolder(tmp_path / "store" / "mapillary-ann-256")
        for each in (image, *others):
            peer.list({"id": each.image_id, "captured_at": each.captured_at})
        path = peer.write()
        loose = path / "seq" / f"{image.image_id}.jpg"
        loose.parent.mkdir()
        loose.write_bytes(sandbox.catalogue.body(image, "256"))
        with tarfile.open(path / "other.tar", "w") as tar:
            body = sandbox.catalogue.body(others[0], "256")
            for name, content in (
                (f"other/{others[0].image_id}.jpg", body),
                ("other/._1.jpg", b""),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        leave_clutter(path, path / ".meta", path / "seq")
        crawling = Crawling(tmp_path / "store", sandbox)
        adopted = crawling.scrapy("adopt", str(path))
        assert adopted.code == 0, adopted.output
        for name in CLUTTER:
            assert name.split("/")[0] in adopted.output
        assert not path.exists()
        staging = tmp_path / "store" / ".incomplete" / path.name
        leave_clutter(staging, staging / DAY)
        assert crawling.scrapy("status").code == 0
        crawled = crawling.run(username="ann", quality="256")
        assert (crawled.code, crawled.balance["saved"]) == (0, 8), crawled.output
        assert str(staging / ".DS_Store") in crawled.output, "it is named"
        leave_clutter(path, path / ".meta")
        verified = crawling.scrapy("verify", path.name)
        assert verified.code == 0, verified.output
        assert f"{path.name}/.DS_Store is none of the collection's" in verified.output
        shutil.rmtree(path / ".crawl")
        verified = crawling.scrapy("verify", path.name)
        assert verified.code == 0, verified.output
        assert "Thumbs.db is none of the collection's" in verified.output


def test_clean_takes_clutter_with_what_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store" / ".incomplete" / "mapillary-ann-256"
    add(folder, [])
    leave_clutter(folder)
    crawling = Crawling(tmp_path / "store")
    assert crawling.scrapy("clean", "--yes").code == 0
    assert not folder.exists()
