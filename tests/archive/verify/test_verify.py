"""A changed bit, a missing, an extra, an unreadable file or member is found and named."""

from __future__ import annotations

import io
import os
import random
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mapillary_crawler.archive.verify import verification as verification_module
from mapillary_crawler.archive.verify.inventory import Kind, NoInventory, Problem
from mapillary_crawler.archive.verify.verification import (
    Verdict,
    Verification,
    bytes_below,
    open_inventory,
)
from mapillary_crawler.collection.layout import LEDGER_PATH, files
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from tests.archive.finish.made import ANN, DAY, NOON, Picture, add, finish, jpeg

Made = Callable[[Path, str, str], Path]
TAR = "2024-01-15.tar"


def webp() -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(packed, "WEBP")
    return packed.getvalue()


def pictures() -> list[Picture]:
    """Return real images: three days, a day of two tars, one damaged, some gone."""
    made = [
        Picture(str(100 + number), NOON + number, "abC"[number % 3], jpeg(40 + number, 30))
        for number in range(20)
    ]
    return [
        *made,
        Picture("7", NOON + DAY, "w", webp(), extension="webp"),
        Picture("8", NOON + DAY, None, jpeg(50, 40)),
        Picture("x" * 100, NOON + DAY, "y" * 100, jpeg(51, 40)),
        Picture("31", NOON + DAY, body=b"\xff\xd8 cut", state=State.DAMAGED),
        Picture("odd id/../ü", None, None, jpeg(44, 44)),
        Picture("32", NOON, state=State.GONE),
        Picture("33", None, state=State.UNAVAILABLE),
    ]


@dataclass
class Found:
    verdict: Verdict
    problems: list[Problem]
    notes: list[str]

    def names(self, path: str, kind: Kind | None = None, member: str | None = None) -> bool:
        return any(
            problem.path == path and kind in (None, problem.kind) and problem.member == member
            for problem in self.problems
        )

    @property
    def text(self) -> str:
        return "\n".join(map(str, self.problems))


def verify(folder: Path, *, full: bool = True) -> Found:
    found = Found(None, [], [])  # type: ignore[arg-type]
    inventory = open_inventory(folder)
    try:
        verification = Verification(
            inventory, full, found.problems.append, found.notes.append, lambda count: None
        )
        found.verdict = verification.run()
    finally:
        inventory.close()
    assert found.verdict.problems == len(found.problems)
    return found


def make(folder: Path, *, tar: bool) -> Path:
    staging = folder / "staging"
    add(staging, pictures())
    return finish(staging, folder / "store", tar=tar, tar_max_bytes=20_481).destination


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return what copies a collection of `tars` or `loose` images, to go `by` its ledger or not."""
    pristine = {
        kind: make(tmp_path_factory.mktemp(kind), tar=kind == "tars") for kind in ("tars", "loose")
    }

    def copy(folder: Path, kind: str, by: str) -> Path:
        copied = Path(shutil.copytree(pristine[kind], folder / ANN.name))
        if by == "manifests":
            shutil.rmtree(copied / ".crawl")
        return copied

    return copy


@pytest.fixture(params=["ledger", "manifests"])
def by(request: pytest.FixtureRequest) -> str:
    """Whether the ledger says what ought to be there, or the manifests alone."""
    return str(request.param)


@pytest.fixture(params=["tars", "loose"])
def collection(request: pytest.FixtureRequest, made: Made, by: str, tmp_path: Path) -> Path:
    return made(tmp_path, request.param, by)


@pytest.fixture
def sealed(made: Made, by: str, tmp_path: Path) -> Path:
    """Return a collection of tars."""
    return made(tmp_path, "tars", by)


@pytest.mark.parametrize("full", [True, False])
def test_all_is_well(collection: Path, full: bool) -> None:
    found = verify(collection, full=full)
    assert found.problems == []
    assert found.verdict.finished
    balance = found.verdict.balance
    assert (balance.saved, balance.damaged, balance.gone, balance.unavailable) == (25, 1, 1, 1)
    assert balance.bytes_saved == sum(len(p.body) for p in pictures() if p.state != State.GONE
                                      and p.state != State.UNAVAILABLE)  # fmt: skip


def test_nothing_is_written(collection: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in collection.rglob("*")
        }

    before = state()
    verify(collection)
    assert state() == before


def deterministic(folder: Path, by: str) -> list[str]:
    """Return the paths of the deterministic set."""
    return [
        path
        for path in files(folder)
        if not path.startswith((".crawl/", "__ia_thumb", "download.log"))
        and not (by == "manifests" and path.startswith(".meta/"))
    ]


def test_flipped_bit_anywhere_is_found_and_named(collection: Path, by: str) -> None:
    generator = random.Random(5)
    paths = deterministic(collection, by)
    assert {"SHA256SUMS", "metadata.jsonl.gz", "checksums.jsonl.gz", "gone.jsonl"} <= set(paths)
    for path in paths:
        body = (collection / path).read_bytes()
        places = {0, len(body) - 1, *(generator.randrange(len(body)) for _ in range(3))}
        for place in places:
            changed = bytearray(body)
            changed[place] ^= 1 << generator.randrange(8)
            (collection / path).write_bytes(changed)
            found = verify(collection)
            assert path in found.text, (path, place)
        (collection / path).write_bytes(body)
    assert verify(collection).problems == []


def test_missing_file_is_named(collection: Path, by: str) -> None:
    for path in deterministic(collection, by):
        if path == "SHA256SUMS" and by == "manifests":
            continue
        hidden = (collection / path).rename(collection.parent / "hidden")
        for full in (True, False):
            assert path in verify(collection, full=full).text
        hidden.rename(collection / path)


def test_file_of_another_size_is_found_fast(collection: Path) -> None:
    for path in files(collection):
        if path.endswith((".tar", ".jpg", ".webp")) and not path.startswith("__"):
            with (collection / path).open("ab") as file:
                file.write(b"\0")
            assert verify(collection, full=False).names(path, Kind.CHANGED)
            os.truncate(collection / path, (collection / path).stat().st_size - 1)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "path", ["zz", "a", "2024-01-15/abc/9.jpg", "new/folder/x", "2030-01-01.tar"]
)
def test_extra_file_is_named(collection: Path, path: str, full: bool) -> None:
    (collection / path).parent.mkdir(parents=True, exist_ok=True)
    (collection / path).write_bytes(b"x")
    found = verify(collection, full=full)
    assert [problem.path for problem in found.problems] == [path]
    assert found.names(path, Kind.EXTRA)


def test_own_files_are_no_strangers(collection: Path, by: str) -> None:
    names = ["download.log.20240101T000000Z", ".meta/added/0"]
    if by == "manifests":
        names += [f"{collection.name}_meta.xml", f"{collection.name}_files.xml", ".other"]
    for name in names:
        (collection / name).parent.mkdir(exist_ok=True)
        (collection / name).write_bytes(b"x")
    assert verify(collection).problems == []


@pytest.mark.parametrize("full", [True, False])
def test_link_and_folder_are_no_files(collection: Path, full: bool) -> None:
    (collection / "gone.jsonl").rename(collection.parent / "gone.jsonl")
    (collection / "gone.jsonl").symlink_to(collection.parent / "gone.jsonl")
    assert verify(collection, full=full).names("gone.jsonl", Kind.UNREADABLE)
    (collection / "gone.jsonl").unlink()
    (collection / "gone.jsonl").mkdir()
    assert "gone.jsonl" in verify(collection, full=full).text


def test_unreadable_file_is_named(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: object, *arguments: object, **named: object) -> int:
        if str(path).endswith("damaged.jsonl"):
            raise OSError(5, "Input/output error")
        return real(path, *arguments, **named)  # type: ignore[arg-type]

    real = os.open
    monkeypatch.setattr(os, "open", failing)
    found = verify(collection)
    assert found.names("damaged.jsonl", Kind.UNREADABLE)
    assert "Input/output error" in found.text


# Members


def rebuild(tar: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """Write a tar anew with other members."""
    with tarfile.open(tar) as old:
        members = [(member, old.extractfile(member).read()) for member in old]  # type: ignore[union-attr]
    change(members)
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as new:
        for member, body in members:
            new.addfile(member, io.BytesIO(body))


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def names_in(tar: Path) -> list[str]:
    with tarfile.open(tar) as opened:
        return opened.getnames()


@pytest.mark.parametrize("position", [0, 1, -1])
def test_missing_member(sealed: Path, position: int) -> None:
    name = names_in(sealed / TAR)[position]
    rebuild(sealed / TAR, lambda members: members.__delitem__(position))
    found = verify(sealed)
    assert found.names(TAR, Kind.MISSING, name)
    assert [problem for problem in found.problems if problem.kind is Kind.EXTRA] == []
    others = [problem.member for problem in found.problems if problem.kind is Kind.MISSING]
    assert others == [name]


@pytest.mark.parametrize(
    "name", ["0", "2024-01-15/zzz/1.jpg", "../../evil", "/tmp/evil", "a\x1b[2J"]
)
@pytest.mark.parametrize("position", [0, 2, 99])
def test_extra_member(sealed: Path, name: str, position: int) -> None:
    body = jpeg(10, 10)
    rebuild(
        sealed / TAR,
        lambda members: members.insert(position, (member(name, size=len(body)), body)),
    )
    found = verify(sealed)
    extra = [problem.member for problem in found.problems if problem.kind is Kind.EXTRA]
    assert extra == [name.lstrip("/") if not name.startswith("/") else name]
    assert not [problem for problem in found.problems if problem.kind is Kind.MISSING]
    assert "\x1b" not in found.text
    assert not (sealed.parent.parent / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_member_twice_and_member_that_is_a_link(sealed: Path) -> None:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members.append(members[0])
        members[1] = (member(members[1][0].name, type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")

    names = names_in(sealed / TAR)
    rebuild(sealed / TAR, change)
    found = verify(sealed)
    assert found.names(TAR, Kind.EXTRA, names[0])
    assert found.names(TAR, Kind.CHANGED, names[1])


def test_swapped_pair(sealed: Path) -> None:
    def swap(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        (first, one), (second, other) = members[:2]
        members[:2] = [
            (member(first.name, size=len(other)), other),
            (member(second.name, size=len(one)), one),
        ]

    names = names_in(sealed / TAR)
    rebuild(sealed / TAR, swap)
    found = verify(sealed)
    for name in names[:2]:
        assert found.names(TAR, Kind.CHANGED, name)


def test_swapped_pair_of_one_size(sealed: Path) -> None:
    with tarfile.open(sealed / TAR) as tar:
        first, second = tar.getmembers()[:2]
    content = bytearray((sealed / TAR).read_bytes())
    size = min(first.size, second.size)
    one = content[first.offset_data : first.offset_data + size]
    content[first.offset_data : first.offset_data + size] = content[
        second.offset_data : second.offset_data + size
    ]
    content[second.offset_data : second.offset_data + size] = one
    (sealed / TAR).write_bytes(content)
    assert verify(sealed, full=False).problems == []
    found = verify(sealed)
    assert {problem.member for problem in found.problems} == {None, first.name, second.name}


@pytest.mark.parametrize("swapped", [("100", "103"), ("101", "104")])
def test_swapped_loose_images(
    made: Made, by: str, tmp_path: Path, swapped: tuple[str, str]
) -> None:
    folder = made(tmp_path, "loose", by)
    one, other = (next(folder.rglob(f"{name}.jpg")) for name in swapped)
    one.rename(folder / "x")
    other.rename(one)
    (folder / "x").rename(other)
    found = verify(folder)
    for path in (one, other):
        assert found.names(path.relative_to(folder).as_posix(), Kind.CHANGED)


def test_truncated_tar(sealed: Path) -> None:
    with tarfile.open(sealed / TAR) as tar:
        members = tar.getmembers()
    whole = (sealed / TAR).read_bytes()
    third = members[2]
    for size in (0, 1, 511, 512, 700, third.offset, third.offset + 100, third.offset_data,
                 third.offset_data + 5, len(whole) - 10_240 + 100, len(whole) - 1):  # fmt: skip
        (sealed / TAR).write_bytes(whole[:size])
        assert verify(sealed, full=False).names(TAR, Kind.CHANGED)
        found = verify(sealed)
        named = {problem.member for problem in found.problems} - {None}
        lost = {each.name for each in members if each.offset_data + each.size > size}
        assert named == lost, size


def test_damaged_headers_lose_no_other_member(sealed: Path) -> None:
    with tarfile.open(sealed / TAR) as tar:
        members = tar.getmembers()
    content = bytearray((sealed / TAR).read_bytes())
    for each in (members[0], members[3], members[4]):
        content[each.offset + 3] ^= 4
    (sealed / TAR).write_bytes(content)
    found = verify(sealed)
    assert {problem.member for problem in found.problems} == {
        None, members[0].name, members[3].name, members[4].name,
    }  # fmt: skip


def test_zeroed_region(sealed: Path) -> None:
    with tarfile.open(sealed / TAR) as tar:
        members = tar.getmembers()
    content = bytearray((sealed / TAR).read_bytes())
    start, end = members[1].offset, members[3].offset
    content[start:end] = bytes(end - start)
    (sealed / TAR).write_bytes(content)
    named = {problem.member for problem in verify(sealed).problems}
    assert {members[1].name, members[2].name} <= named


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_whatsoever_is_overlooked_or_ends_in_an_error(
    sealed: Path, data: st.DataObject
) -> None:
    whole = (sealed / TAR).read_bytes()
    start = data.draw(st.integers(0, len(whole)), "start")
    length = data.draw(st.sampled_from([0, 1, 100, 512, 1024, 5000, 30_000]), "length")
    filling = data.draw(
        st.one_of(
            st.binary(max_size=2000),
            st.sampled_from([bytes(512), whole[:512], whole[:1536], whole, b"\xff" * 600]),
        ),
        "filling",
    )
    content = whole[:start] + filling + whole[start + length :]
    (sealed / TAR).write_bytes(content)
    try:
        found = verify(sealed)
        assert (TAR in found.text) is (content != whole)
    finally:
        (sealed / TAR).write_bytes(whole)


def test_image_that_was_never_one_is_named(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    add(staging, [Picture("1", body=b"no image"), Picture("2", body=b"RIFFxxxx", extension="webp")])
    folder = finish(staging, tmp_path / "store").destination
    found = verify(folder)
    assert {problem.member for problem in found.problems} == {
        "2024-01-15/seq/1.jpg", "2024-01-15/seq/2.webp",
    }  # fmt: skip
    assert "cannot be decoded" in found.text


def test_pillow_s_guard_against_large_pictures_makes_no_webp_a_changed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = tmp_path / "staging"
    add(staging, [Picture("1", body=webp(), extension="webp")])
    folder = finish(staging, tmp_path / "store").destination
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert verify(folder).problems == []


# What says what ought to be there


def test_no_collection(tmp_path: Path) -> None:
    with pytest.raises(NoInventory):
        open_inventory(tmp_path)


def test_pipe_in_the_place_of_a_manifest_is_not_waited_for(made: Made, tmp_path: Path) -> None:
    folder = made(tmp_path, "tars", "manifests")
    (folder / "gone.jsonl").unlink()
    os.mkfifo(folder / "gone.jsonl")
    found = verify(folder)
    assert found.names("gone.jsonl", Kind.UNREADABLE)
    assert "it is a pipe, which is not followed" in found.text


@pytest.mark.parametrize("path", ["../../evil", "/etc/passwd", "a//b", "./a", "a/../b", ".."])
def test_sums_cannot_lead_outside(made: Made, tmp_path: Path, path: str) -> None:
    folder = made(tmp_path, "tars", "manifests")
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {path}\n")
    found = verify(folder)
    assert [(problem.path, problem.kind) for problem in found.problems] == [
        ("SHA256SUMS", Kind.DISAGREES)
    ]


def test_line_taken_out_of_a_manifest(made: Made, tmp_path: Path) -> None:
    folder = made(tmp_path, "tars", "manifests")
    gone = (folder / "gone.jsonl").read_text().splitlines(keepends=True)
    (folder / "gone.jsonl").write_text("".join(gone[1:]))
    found = verify(folder, full=False)
    assert "32 is listed, and neither saved nor said to be gone" in found.text


def test_whatever_sha256sum_finds_is_found(sealed: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    for path in ("metadata.jsonl.gz", TAR, "gone.jsonl"):
        content = bytearray((sealed / path).read_bytes())
        content[len(content) // 2] ^= 1
        (sealed / path).write_bytes(content)
    judge = subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"],
        cwd=sealed, capture_output=True, text=True, check=False, env={"LC_ALL": "C"},
    )  # fmt: skip
    accused = {line.removesuffix(": FAILED") for line in judge.stdout.splitlines()}
    assert accused == {problem.path for problem in verify(sealed).problems
                       if problem.kind is Kind.CHANGED}  # fmt: skip


@pytest.fixture
def ledger(made: Made, tmp_path: Path) -> Iterator[tuple[Path, Ledger]]:
    folder = made(tmp_path, "tars", "ledger")
    ledger = Ledger(folder / LEDGER_PATH)
    yield folder, ledger
    ledger.close()


def test_removed_pieces_are_on_archive_org(ledger: tuple[Path, Ledger]) -> None:
    folder, opened = ledger
    opened.pieces.set_state(TAR, PieceState.REMOVED, "mapillary-ann-original")
    assert verify(folder).problems == []  # it is here all the same
    (folder / TAR).unlink()
    found = verify(folder)
    assert found.problems == []
    assert found.notes == [f"{TAR} is on archive.org, in mapillary-ann-original"]
    assert found.verdict.elsewhere == 1
    opened.pieces.set_state(TAR, PieceState.UPLOADED)
    assert verify(folder).names(TAR, Kind.MISSING)


def test_balance_that_is_not_what_the_rows_are(ledger: tuple[Path, Ledger]) -> None:
    folder, opened = ledger
    opened.database.execute("UPDATE balance SET images = images + 1 WHERE state = 3")
    found = verify(folder, full=False)
    assert found.names(".crawl/ledger.sqlite", Kind.DISAGREES)
    assert "1 images and 0 bytes are gone, its balance says 2 and 0" in found.text


def test_broken_ledger(ledger: tuple[Path, Ledger]) -> None:
    folder, opened = ledger
    opened.close()
    (folder / LEDGER_PATH).write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        verify(folder)


def test_collection_that_is_worked_on(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    add(staging, [*pictures()[:5], replace(pictures()[5], state=State.UNSETTLED)])
    (staging / "2024-01-15" / "left-behind.jpg").write_bytes(b"the next run clears it away")
    found = verify(staging)
    assert found.problems == []
    assert not found.verdict.finished
    path = next(staging.rglob("100.jpg"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (staging / "2024-01-15/b/101.jpg").unlink()
    found = verify(staging)
    assert {(problem.path, problem.kind) for problem in found.problems} == {
        ("2024-01-15/a/100.jpg", Kind.CHANGED), ("2024-01-15/b/101.jpg", Kind.MISSING),
    }  # fmt: skip


def test_other_names_do_not_matter(made: Made, tmp_path: Path) -> None:
    folder = made(tmp_path, "tars", "manifests")
    assert ANN.name == folder.name
    assert verify(folder.rename(tmp_path / "downloaded")).problems == []


def test_a_tar_that_goes_away_is_named_and_no_other(made: Made, tmp_path: Path, by: str) -> None:
    folder = made(tmp_path, "tars", by)
    inventory = open_inventory(folder)
    problems: list[Problem] = []
    gone = min(path.name for path in folder.glob("*.tar"))

    def advance(_: int) -> None:
        """Remove the first tar once it is open: its members are read by its name."""
        (folder / gone).unlink(missing_ok=True)

    try:
        verification = Verification(
            inventory, True, problems.append, lambda note: None, advance, processors=1
        )
        verdict = verification.run()
    finally:
        inventory.close()
    assert verdict.problems == len(problems) > 0
    assert {(problem.path, problem.kind) for problem in problems} <= {
        (gone, Kind.UNREADABLE),
        (gone, Kind.MISSING),
    }


def test_an_error_is_its_own_tars_however_late_it_comes(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path, "tars", "ledger")
    tars = sorted(path.name for path in folder.glob("*.tar"))
    monkeypatch.setattr(verification_module, "_WAITING", 1)  # taken while another is read
    check = verification_module.check_members

    def check_members(tar: Path, *rest: Any) -> list[Problem]:
        if tar.name == tars[0]:
            raise MemoryError("no room for it")
        return check(tar, *rest)

    monkeypatch.setattr(verification_module, "check_members", check_members)
    inventory = open_inventory(folder)
    problems: list[Problem] = []
    try:
        verification = Verification(
            inventory, True, problems.append, lambda note: None, lambda _: None, processors=1
        )
        verification.run()
    finally:
        inventory.close()
    assert problems == [Problem(tars[0], Kind.UNREADABLE, "MemoryError: no room for it")]


def test_manifests_that_cannot_be_read_are_no_traceback(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path, "tars", "manifests")
    inventory = open_inventory(folder)
    (folder / "SHA256SUMS").unlink()  # as a disk that loses it
    (folder / "SHA256SUMS").mkdir()
    problems: list[Problem] = []
    try:
        Verification(inventory, True, problems.append, lambda note: None, lambda _: None).run()
    finally:
        inventory.close()
    assert Kind.UNREADABLE in {p.kind for p in problems if p.path == "SHA256SUMS"}


def test_what_cannot_be_looked_at_does_not_end_the_counting(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(7))
    assert bytes_below(tmp_path) == 7
    assert bytes_below(tmp_path / "nowhere") == 0
