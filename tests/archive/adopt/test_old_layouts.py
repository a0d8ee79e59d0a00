"""Every layout that mapillary_downloader ever made is read; what is none of them is refused."""

from __future__ import annotations

import io
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.adopt.peer_folder import FIELDS, PeerFolder
from tests.archive.finish.made import DAY as A_DAY
from tests.archive.finish.made import NOON, jpeg
from tests.crawling import Crawling, assert_complete, images
from tests.shared_data import FOLDER

pytestmark = pytest.mark.long

USERS = [{"username": "ann", "images": 40, "days": 3, "undated": 0.1, "no_sequence": 0.1}]
DAY = "2024-01-15"


def put(path: Path, member: str, body: bytes, modified: float = 0) -> None:
    """Add a member to a tar, or write a loose file where `path` is no tar."""
    if path.suffix != ".tar":
        (path / member).parent.mkdir(parents=True, exist_ok=True)
        (path / member).write_bytes(body)
        return
    with tarfile.open(path, "a", format=tarfile.GNU_FORMAT) as tar:
        entry = tarfile.TarInfo(member)
        entry.size, entry.mtime = len(body), int(modified)
        tar.addfile(entry, io.BytesIO(body))


#: Where each layout has an image of a sequence: a tar or the folder itself, and the path in it.
LAYOUTS: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "sequence tars": lambda seq, file: (f"{seq}.tar", f"{seq}/{file}"),
    "sequence tars with letters": lambda seq, file: (f"{seq}.tar", f"{seq[0]}/{seq}/{file}"),
    "further sequence tars": lambda seq, file: (f"{seq}.{len(file) % 2 + 2}.tar", f"{seq}/{file}"),
    "letter tars": lambda seq, file: (f"{seq[0].lower()}.tar", f"{seq[0].lower()}/{seq}/{file}"),
    "sequence folders": lambda seq, file: ("", f"{seq}/{file}"),
    "letter folders": lambda seq, file: ("", f"{seq[0]}/{seq}/{file}"),
}


def in_layout(path: Path, sandbox: Sandbox, layout: str, lost: int) -> None:
    """Make a folder of the sandbox's images; without a sequence they lie beside the rest."""
    peer = PeerFolder(path)
    for number, image in enumerate(sandbox.catalogue.user("ann").images()):
        peer.list(image.row(FIELDS))
        file = f"{image.image_id}.jpg"
        tar, member = LAYOUTS[layout](image.sequence, file) if image.sequence else ("", file)
        if number >= lost:
            put(path / tar, member, sandbox.catalogue.body(image, "256"))
    peer.write()


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_crawl_completes_every_layout(tmp_path: Path, layout: str) -> None:
    with Sandbox.running(USERS, seed=4) as sandbox:
        path = tmp_path / "store" / "mapillary-ann-256"
        in_layout(path, sandbox, layout, lost=3)
        tars = {tar.name: tar.read_bytes() for tar in path.glob("*.tar")}
        crawling = Crawling(tmp_path / "store", sandbox)
        adopted = crawling.scrapy("adopt", str(path))
        assert adopted.code == 0, adopted.output
        assert "3 listed, but in no tar and no folder" in adopted.output
        crawled = crawling.run(username="ann", quality="256")
        assert crawled.code == 0, crawled.output
        assert crawled.balance["saved"] == 40
        assert sandbox.counters()["images"]["total"] == 3, "only what was missing is fetched"
        assert_complete(path, sandbox, "ann", "256")
        kept = path / ".crawl" / "adopted"
        assert {tar.name: tar.read_bytes() for tar in kept.glob("*.tar")} == tars
        assert (
            f"they lie in {kept}".replace("store/", "store/.incomplete/") in adopted.output
        ) == (bool(tars))
        verified = crawling.scrapy("verify", str(path))
        assert verified.code == 0, verified.output


@pytest.mark.slow
def test_what_lies_in_a_tar_is_never_gone(tmp_path: Path) -> None:
    """The service has deleted them since: this may be the only copy."""
    users = [{"username": "ann", "images": 30, "dead": 12}]
    with Sandbox.running(users, seed=5) as sandbox:
        path = tmp_path / "store" / "mapillary-ann-256"
        in_layout(path, sandbox, "sequence tars", lost=0)
        crawling = Crawling(tmp_path / "store", sandbox)
        assert crawling.scrapy("adopt", str(path)).code == 0
        crawled = crawling.run(username="ann", quality="256")
        assert (crawled.code, crawled.balance["saved"], crawled.balance["gone"]) == (0, 30, 0)


@pytest.mark.skipif(not FOLDER.exists(), reason="no ../shared/data")
@pytest.mark.parametrize("version", ["0.5.2", "0.6.1"])
def test_real_folders_of_older_versions(tmp_path: Path, version: str) -> None:
    name = "mapillary-odd-original"
    source = FOLDER / "faults" / "old-layouts" / version / name
    path = Path(shutil.copytree(source, tmp_path / "theirs" / name))
    result = Crawling(tmp_path / "store").scrapy("adopt", str(path))
    assert result.code == 0, result.output
    assert "listed 12 = saved 12" in result.output
    assert "listed, but in no tar" not in result.output
    assert not path.exists()
    found = images(tmp_path / "store" / ".incomplete" / name)
    assert len(found) == 12
    assert {member.split("/")[0] for member in found} == {"2024-06-01"}
    assert {member.split("/")[1] for member in found} == {"Seq-odd_0001", "_u5f_u8Kk1", "aQ3xZ9"}


def test_an_image_of_an_older_layout_that_is_not_listed_has_no_date(tmp_path: Path) -> None:
    """That tool did not always give files their capture time."""
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    put(peer.path / "seq.tar", "seq/11.jpg", jpeg(), modified=NOON / 1000)
    result = Crawling(tmp_path / "store").scrapy("adopt", str(peer.write()))
    assert result.code == 0, result.output
    assert "1 saved, but not in its metadata: seq/11.jpg" in result.output
    assert (
        tmp_path / "store/.incomplete/mapillary-ann-2048/unknown-date/seq/11.jpg"
    ).read_bytes() == jpeg()


def other_day(path: Path) -> None:
    put(path / "2024-01-16.tar", f"{DAY}/seq/12.jpg", jpeg())


UNKNOWN: dict[str, tuple[str, Callable[[Path], None]]] = {
    "archive": ("batch-1.zip", lambda path: put(path, "batch-1.zip", b"PK")),
    "packed tar": ("seq.tar.gz", lambda path: put(path, "seq.tar.gz", b"x")),
    "notes": ("notes.txt", lambda path: put(path, "notes.txt", b"x")),
    "image of no layout": ("a/b/c/12.jpg", lambda path: put(path, "a/b/c/12.jpg", jpeg())),
    "wrong letter": ("x/seq/12.jpg", lambda path: put(path, "x/seq/12.jpg", jpeg())),
    "extension": (f"{DAY}/seq/12.jxl", lambda path: put(path, f"{DAY}/seq/12.jxl", jpeg())),
    "in a tar": ("b/c/d/12.jpg", lambda path: put(path / "b.tar", "b/c/d/12.jpg", jpeg())),
    "text in a tar": ("seq/12.txt", lambda path: put(path / "seq.tar", "seq/12.txt", b"x")),
    "of another day": (f"2024-01-16.tar: {DAY}/seq/12.jpg", other_day),
    "no id": (f"{DAY}/a b.jpg", lambda path: put(path / f"{DAY}.tar", f"{DAY}/a b.jpg", b"x")),
}  # fmt: skip


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_is_refused(tmp_path: Path, what: str) -> None:
    name, make = UNKNOWN[what]
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    peer.list({"id": "12", "sequence": "seq", "captured_at": NOON + A_DAY})
    peer.save(f"{DAY}/seq/11.jpg", jpeg(), time=time.time())
    path = peer.write()
    make(path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    result = Crawling(tmp_path / "store").scrapy("adopt", str(path))
    assert result.code == 2, result.output
    assert f"holds '{name}'" in result.lines[-1] or f"{name}'" in result.lines[-1]
    assert "nothing was changed" in result.lines[-1]
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert not list((tmp_path / "store" / ".incomplete").glob(".adopting*"))
