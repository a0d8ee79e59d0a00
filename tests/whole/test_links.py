"""Links, pipes and state that came with a folder: no command follows them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapillary_crawler.archive.adopt.adoption import adopt
from mapillary_crawler.archive.internet_archive.finished_collection import FinishedCollection
from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.sandbox.process import Sandbox
from mapillary_crawler.terminal.work_display import WorkDisplay
from tests.archive.adopt.peer_folder import PeerFolder
from tests.archive.finish.made import NOON, Picture, add, finish, jpeg
from tests.crawling import Crawling

pytestmark = pytest.mark.slow

DAY = "2024-01-15"
NAME = "mapillary-ann-256"


class Outside:
    """What links lead to; nobody may bring it into a collection, change or remove it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("0", "1", "ledger.sqlite", "seq/5.jpg", "scanner/0", "progress.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"secret {name}")
        self.file = folder / "0"
        self._before = self._content()

    def _content(self) -> dict[Path, bytes | None]:
        return {
            path: path.read_bytes() if path.is_file() else None for path in self.folder.rglob("*")
        }

    @property
    def untouched(self) -> bool:
        return self._content() == self._before

    def is_in(self, folder: Path) -> bool:
        """Say whether something of it was copied below a folder."""
        real = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return any(b"secret" in path.read_bytes() for path in real)

    def plant(self, path: Path, kind: str) -> None:
        """Put a link or a pipe in the place of whatever is there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(self.folder if kind == "folder" else self.file)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running([{"username": "ann", "images": 6, "days": 1}], seed=3) as running:
        yield running


def a_day(sandbox: Sandbox) -> str:
    image = next(iter(sandbox.catalogue.user("ann").images()))
    return time.strftime("%Y-%m-%d", time.gmtime((image.captured_at or 0) / 1000))


STAGING = [
    (".crawl", "folder"),
    (".crawl/ledger.sqlite", "file"),
    (".crawl/ledger.sqlite-wal", "file"),
    (".crawl/ledger.sqlite-journal", "file"),
    (".crawl/incoming", "folder"),
    (".crawl/incoming", "pipe"),
    (".crawl/finishing", "folder"),
    (".crawl/copied", "file"),
    (".crawl/progress.json", "file"),
    (".meta", "folder"),
    (".meta/scanner", "folder"),
    (".meta/scanner/0", "file"),
    (".meta/scanner/0", "pipe"),
    (".meta.writing", "folder"),
    (".meta.before", "folder"),
    ("DAY", "folder"),
    ("DAY.tar", "file"),
    ("metadata.jsonl.gz", "file"),
    ("../.moved-mapillary-ann-256", "folder"),
    ("../.progress-mapillary-ann-256", "file"),
    ("../.locks/mapillary-ann-256", "file"),
]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        pytest.param(*each, marks=pytest.mark.long) if number % 5 else each
        for number, each in enumerate(STAGING)
    ],
)
def test_a_crawl_follows_nothing_in_staging(
    tmp_path: Path, sandbox: Sandbox, outside: Outside, place: str, kind: str
) -> None:
    folder = tmp_path / "store" / ".incomplete" / NAME
    path = folder / place.replace("DAY", a_day(sandbox))
    folder.mkdir(parents=True)
    outside.plant(path, kind)
    result = Crawling(tmp_path / "store", sandbox).run(username="ann", quality="256")
    assert outside.untouched
    assert not outside.is_in(tmp_path / "store")
    assert "Traceback" not in result.output
    if result.code:
        assert path.name in result.output or path.suffix == ".tar", "it is named"
        # The state of a run that came to nothing goes, a link in it by itself.
        is_state = path.parent.name == ".crawl" and not path.exists()
        assert path.is_symlink() or path.is_fifo() or is_state, "and left alone"


@pytest.mark.parametrize("what", ["store", "staging", "collection"])
def test_what_a_collection_lies_in_may_be_a_link(
    tmp_path: Path, sandbox: Sandbox, what: str
) -> None:
    store, disk = tmp_path / "store", tmp_path / "disk"
    place = {"store": store, "staging": store / ".incomplete"}.get(
        what, store / ".incomplete" / NAME
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    disk.mkdir()
    place.symlink_to(disk)
    crawling = Crawling(store, sandbox)
    result = crawling.run(username="ann", quality="256")
    assert (result.code, result.balance["saved"]) == (0, 6), result.output
    assert crawling.scrapy("verify", NAME).code == 0


FINISHED = [
    (".crawl", "folder"),
    (".crawl/ledger.sqlite", "file"),
    (".crawl/ledger.sqlite", "pipe"),
    (f"{DAY}.tar", "file"),
    (f"{DAY}.tar", "pipe"),
    ("SHA256SUMS", "file"),
    ("checksums.jsonl.gz", "pipe"),
    ("metadata.jsonl.gz", "file"),
    ("gone.jsonl", "file"),
    ("damaged.jsonl", "pipe"),
    ("2024-01-16", "folder"),
    ("stranger", "pipe"),
]


def test_verify_and_status_follow_nothing(tmp_path: Path, outside: Outside) -> None:
    """One command, a copy for each place; by the ledger, and by the manifests alone."""
    pictures = [Picture(str(number), NOON, "seq", jpeg()) for number in range(3)]
    add(tmp_path / "staging", pictures)
    whole = finish(tmp_path / "staging", tmp_path / "made").destination
    store = tmp_path / "store"
    copies = {}
    for number, (place, kind) in enumerate(FINISHED):
        for by in ("ledger", "manifests"):
            folder = Path(shutil.copytree(whole, store / f"mapillary-{by}{number}-original"))
            if by == "manifests":
                shutil.rmtree(folder / ".crawl")
            outside.plant(folder / place, kind)
            copies[folder.name] = (place, kind, by)
    crawling = Crawling(store)
    result = crawling.scrapy("verify", *copies, timeout=300)
    assert result.code == 1
    assert "Traceback" not in result.output
    for name, (place, kind, by) in copies.items():
        lines = [line for line in result.lines if name in line and place in line]
        by_manifests = place in ("SHA256SUMS", "checksums.jsonl.gz", "gone.jsonl", "damaged.jsonl")
        assert lines, (place, kind, by)
        if by == "manifests" or not by_manifests:
            what = "pipe" if kind == "pipe" else "link"
            told = f"is a {what}, which is not followed"
            assert any(told in line or "does not have it" in line for line in lines), lines
    status = crawling.scrapy("status", timeout=60)
    assert (status.code, "Traceback" in status.output) == (0, False)
    assert outside.untouched


def test_status_waits_for_no_pipe_and_clean_removes_nothing_outside(
    tmp_path: Path, outside: Outside
) -> None:
    staging = tmp_path / "store" / ".incomplete"
    pipes = [(".crawl/progress.json", "pipe"), ("../.locks/mapillary-u10-256", "pipe")]
    for number, (place, kind) in enumerate([*STAGING[:9], *pipes]):
        folder = staging / f"mapillary-u{number}-256"
        add(folder, [])
        outside.plant(folder / place, kind)
        (folder / "empty").mkdir()
    crawling = Crawling(tmp_path / "store")
    status = crawling.scrapy("status", timeout=60)
    assert (status.code, "Traceback" in status.output) == (0, False)
    cleaned = crawling.scrapy("clean", "--yes")
    assert (cleaned.code, "Traceback" in cleaned.output) == (0, False)
    assert outside.untouched
    assert (staging / "mapillary-u0-256" / ".crawl").is_symlink(), "what is special stays"


FOREIGN = [
    (".crawl", "folder"),
    (f"{DAY}.tar", "file"),
    ("S.tar", "pipe"),
    ("metadata.jsonl.gz", "file"),
    ("metadata.jsonl.gz", "pipe"),
    (".meta", "folder"),
    (".meta/scanner", "folder"),
    (".meta/scanner/0", "file"),
    (".meta/scanner/0", "pipe"),
    ("progress.json", "pipe"),
    ("download.log.20240101-120000", "file"),
    ("__ia_thumb__.jpg", "file"),
    (DAY, "folder"),
    (f"{DAY}/seq", "folder"),
    (f"{DAY}/seq/12.jpg", "file"),
    ("seq", "folder"),
    ("seq/13.jpg", "pipe"),
    ("13.jpg", "file"),
]


@pytest.mark.parametrize(("place", "kind"), FOREIGN)
def test_adopt_refuses_links_and_pipes(
    tmp_path: Path, outside: Outside, place: str, kind: str
) -> None:
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    peer.list(*({"id": each, "sequence": "seq", "captured_at": NOON} for each in ("11", "12")))
    peer.save(f"{DAY}/seq/11.jpg", jpeg())
    path = peer.write()
    outside.plant(path / place, kind)
    (tmp_path / "staging").mkdir()
    with pytest.raises(Refused, match=r"not followed|made by this program") as refused:
        adopt(path, tmp_path / "staging", lambda _: None, WorkDisplay())
    assert place.split("/", maxsplit=1)[0] in str(refused.value) or place == ".crawl"
    assert outside.untouched
    assert list((tmp_path / "staging").iterdir()) == []
    assert (path / place).is_symlink() or (path / place).is_fifo()


@pytest.mark.parametrize("state", ["incoming", "finishing", "progress.json", "ledger.sqlite"])
def test_adopt_refuses_state_that_came_with_a_folder(
    tmp_path: Path, outside: Outside, state: str
) -> None:
    """The issue's case: the next crawl removed all files of what `.crawl/incoming` leads to."""
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    peer.list({"id": "11", "sequence": "seq", "captured_at": NOON})
    peer.save(f"{DAY}/seq/11.jpg", jpeg())
    path = peer.write()
    outside.plant(path / ".crawl" / state, "folder" if "." not in state else "file")
    result = Crawling(tmp_path / "store").scrapy("adopt", str(path))
    assert (result.code, len(result.lines)) == (2, 1), result.output
    assert outside.untouched
    assert path.exists()


def test_an_adoption_begins_in_no_folder_that_a_link_leads_to(
    tmp_path: Path, outside: Outside
) -> None:
    peer = PeerFolder(tmp_path / "theirs" / "mapillary-ann-2048")
    path = peer.write()
    outside.plant(tmp_path / "store/.incomplete/.adopting-mapillary-ann-2048", "folder")
    result = Crawling(tmp_path / "store").scrapy("adopt", str(path))
    assert result.code == 2, result.output
    assert "is a link, which is not followed" in result.lines[-1]
    assert outside.untouched


@pytest.mark.parametrize("place", [".meta", ".meta/scanner", ".meta/scanner/0", "download.log.1"])
def test_nothing_behind_a_link_is_uploaded(tmp_path: Path, outside: Outside, place: str) -> None:
    add(tmp_path / "staging", [Picture("1", NOON, "seq", jpeg())])
    folder = finish(tmp_path / "staging", tmp_path / "store").destination
    outside.plant(folder / place, "folder" if place in (".meta", ".meta/scanner") else "file")
    with (
        pytest.raises(Refused, match=r"is a link, which is not followed|is no file"),
        FinishedCollection.opened(folder) as collection,
    ):
        collection.record_logs()
    assert outside.untouched


def test_no_name_of_a_ledger_leads_out(tmp_path: Path, outside: Outside) -> None:
    """A ledger from elsewhere may name any path; only what lies below is removed."""
    add(tmp_path / "staging", [Picture("1", NOON, "seq", jpeg())])
    folder = finish(tmp_path / "staging", tmp_path / "store").destination
    with FinishedCollection.opened(folder) as collection:
        named = "UPDATE pieces SET name = 'x/../../../outside/0', state = 3 WHERE day IS NOT NULL"
        collection.access.wait_for(lambda ledger: ledger.database.execute(named))
        (tar,) = (piece for piece in collection.pieces() if piece.day)
        with pytest.raises(OSError, match="leads elsewhere"):
            collection.remove(tar)
    assert outside.untouched
