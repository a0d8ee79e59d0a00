"""Opening a slice, and the whole of a collection that is cut: every reason to refuse it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler import __version__
from mapillary_crawler.archive.slices.making import make_slice
from mapillary_crawler.archive.slices.reading import own_tars, read_slices
from mapillary_crawler.collection.arguments import Arguments
from mapillary_crawler.collection.layout import LEDGER_PATH, slice_folder
from mapillary_crawler.collection.lock import Lock
from mapillary_crawler.collection.names import Collection
from mapillary_crawler.collection.outcome import Outcome, Refused
from mapillary_crawler.crawl import slice_room
from mapillary_crawler.crawl.open_collection import OpenCollection
from mapillary_crawler.crawl.opening import open_for_crawl
from mapillary_crawler.crawl.slices import balance_of, cut, may_be_cut
from mapillary_crawler.ledger.database import Database
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, Slice, SliceState
from tests.archive.finish.made import ANN, add, finish, pictures
from tests.archive.slices.cut import (
    TAR_MAX_BYTES,
    crawl_slice,
    cut_in_two_runs,
    merge_all,
    unsettled,
)
from tests.crawl.test_open_collection import limits_of
from tests.ledgers import fast_folder

SOME = pictures(days=4, a_day=6)
FAILING = SOME[13].image_id
Open = Callable[..., OpenCollection]


@pytest.fixture
def store() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder / "store"


@pytest.fixture
def whole(store: Path) -> Path:
    return store / ".incomplete" / ANN.name


@pytest.fixture
def slices(whole: Path) -> list[Slice]:
    slices = cut_in_two_runs(whole, SOME, size=7)
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(tar=True)
    return slices


@pytest.fixture
def opening(store: Path) -> Iterator[Open]:
    """Return what opens a collection or a slice for a crawl; it is closed at the end."""
    opened: list[OpenCollection] = []

    def open_one(
        collection: Collection = ANN, *, plan: bool = False, environment: Any = None, **given: Any
    ) -> OpenCollection:
        configuration = limits_of(store, environment=environment or {})
        opened.append(open_for_crawl(Arguments(collection, **given), configuration, plan=plan))
        return opened[-1]

    yield open_one
    for one in opened:
        with suppress(RuntimeError):  # its thread has ended: the test closed it
            one.close()


def refused(opening: Open, **given: Any) -> tuple[Outcome, str]:
    with pytest.raises(Refused) as refusal:
        opening(**given)
    assert str(refusal.value).isprintable()
    return refusal.value.outcome, str(refusal.value)


def test_a_slice_has_a_folder_and_a_lock_of_its_own(
    opening: Open, whole: Path, slices: list[Slice]
) -> None:
    opened = [opening(slice_number=number) for number in (1, 2)]
    assert [one.folder for one in opened] == [slice_folder(whole, 1), slice_folder(whole, 2)]
    assert [one.title for one in opened] == [f"{ANN.title}, slice {each}" for each in (1, 2)]
    for one, part in zip(opened, slices, strict=False):
        listed = one.ledger.wait_for(lambda ledger: ledger.images.balance().listed)
        assert listed == part.images
        assert one.ledger.wait_for(lambda ledger: ledger.listing.position().closed)
        assert one.tar_max_bytes == TAR_MAX_BYTES
    assert refused(opening, slice_number=1)[0] is Outcome.LOCKED
    assert refused(opening)[0] is Outcome.LOCKED


def test_where_there_is_no_such_slice(opening: Open, whole: Path, slices: list[Slice]) -> None:
    outcome, line = refused(opening, slice_number=99)
    assert (outcome, line.endswith(f"it has 1 to {len(slices)}")) == (Outcome.REFUSED, True)
    assert not slice_folder(whole, 99).exists()


def test_where_nothing_is_cut(opening: Open, whole: Path) -> None:
    assert (
        "there is no such collection; one is listed and cut by"
        in refused(opening, slice_number=1)[1]
    )
    opening().close()
    assert refused(opening, slice_number=1)[1].endswith("it is not cut")


def test_one_that_has_ended_says_so_again(opening: Open, whole: Path, slices: list[Slice]) -> None:
    for part in slices:
        crawl_slice(whole, part, SOME, [FAILING])
    said = [refused(opening, slice_number=part.number) for part in slices]
    for part, (_, line) in zip(slices, said, strict=True):
        assert line.startswith(f"{ANN.title}, slice {part.number} has ended: listed")
    assert [outcome for outcome, _ in said].count(Outcome.SLICE_INCOMPLETE) == 1
    assert {outcome.exit_code for outcome, _ in said} == {0, 3}


def test_one_that_is_merged_says_so(opening: Open, whole: Path, slices: list[Slice]) -> None:
    for part in slices:
        crawl_slice(whole, part, SOME)
    merge_all(whole, SOME)
    assert refused(opening, slice_number=1)[0] is Outcome.SLICE_COMPLETE
    finish(whole, whole.parent.parent)
    assert refused(opening, slice_number=1)[0] is Outcome.SLICE_COMPLETE


@pytest.mark.usefixtures("slices")
def test_another_version_cuts_and_crawls_no_slice(opening: Open, whole: Path) -> None:
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(cut={**ledger.facts.get("cut"), "version": "0.0.1"})
    outcome, line = refused(opening, slice_number=1)
    assert outcome is Outcome.REFUSED
    assert "was cut by version 0.0.1" in line
    assert not slice_folder(whole, 1).exists()
    opened = opening()  # which is whole again
    assert opened.ledger.wait_for(lambda ledger: ledger.slices.unmerged()) == []


def test_what_another_version_has_cut_is_cut_anew(
    opening: Open, whole: Path, slices: list[Slice]
) -> None:
    """Else none of its slices, and so nothing of it, would ever be crawled by several processes."""
    crawl_slice(whole, slices[0], SOME)
    make_slice(whole, slice_folder(whole, 2), slices[1])
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        before = ledger.facts.get("cut")
        ledger.facts.set(cut={**before, "version": "0.0.1"})
    with closing(Ledger(slice_folder(whole, 1) / LEDGER_PATH)) as ledger:
        ledger.facts.set(slice_of={**ledger.facts.get("slice_of"), "version": "0.0.1"})
    with closing(Ledger(slice_folder(whole, 2) / LEDGER_PATH)) as ledger:
        ledger.facts.set(slice_of={**ledger.facts.get("slice_of"), "version": "0.0.1"})
    opened = opening(cut=True)
    assert not list(whole.parent.glob("*#*"))
    assert opened.ledger.wait_for(lambda ledger: ledger.slices.may_be_cut(7))
    assert opened.ledger.wait_for(lambda ledger: ledger.slices.cut(7, __version__)) > 1
    assert refused(opening, slice_number=slices[0].number)[0] is Outcome.SLICE_COMPLETE
    opening(slice_number=slices[-1].number + 1)


@pytest.mark.usefixtures("slices")
def test_what_the_cut_has_fixed_stays(opening: Open) -> None:
    for given in ({"environment": {"TAR_MAX_BYTES": "1 MB"}}, {"tar": False}):
        outcome, line = refused(opening, slice_number=1, **given)
        assert outcome is Outcome.REFUSED
        assert "does not fit" in line


def test_the_encoder_is_that_of_the_cut(opening: Open, store: Path) -> None:
    """Though nothing is saved yet, and a whole without anything saved would take what is asked."""
    encoded = replace(ANN, webp=True)
    whole = store / ".incomplete" / encoded.name
    cut_in_two_runs(whole, SOME, size=7, saved=0)
    fixed = {"kind": "pillow", "version": "1", "quality": 60, "method": 2}
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(encoder=fixed)
    for environment in ({"WEBP_QUALITY": "61"}, {"WEBP_ENCODER": "cwebp"}):
        with pytest.raises(Refused, match="this collection was begun with"):
            opening(collection=encoded, slice_number=1, environment=environment)
    opened = opening(collection=encoded, slice_number=1)
    assert opened.encoding
    assert opened.encoding[1:] == (60, 2)


def test_cut_again_leaves_open_slices_alone(
    opening: Open, whole: Path, slices: list[Slice]
) -> None:
    crawl_slice(whole, slices[0], SOME)
    before = (whole / LEDGER_PATH).read_bytes()
    line = f"{ANN.title}: listed {len(SOME)} images; cut into {len(slices)} slices"
    assert refused(opening, cut=True) == (Outcome.CUT, line)
    assert (whole / LEDGER_PATH).read_bytes() == before
    outcome, planned = refused(opening, plan=True)
    assert (outcome, planned.startswith(f"{line}: listed {len(SOME)} = saved")) == (
        Outcome.PLANNED, True,
    )  # fmt: skip
    for part in slices:
        crawl_slice(whole, part, SOME)
    opened = opening(cut=True)
    states = {part.state for part in read_slices(opened.folder) or []}
    assert states == {SliceState.MERGED}
    assert not opened.renews


def test_the_ledger_of_the_whole_is_read_once(
    opening: Open, whole: Path, slices: list[Slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl_slice(whole, slices[0], SOME)
    opened = []

    def counted(database: Database, path: Path, **given: Any) -> None:
        opened.append(path)
        made(database, path, **given)

    made = Database.__init__
    monkeypatch.setattr(Database, "__init__", counted)
    assert refused(opening, cut=True)[0] is Outcome.CUT
    assert opened.count(whole / LEDGER_PATH) == 1


@pytest.mark.parametrize("given", [{}, {"upload": True}, {"cut": True, "update": True}])
def test_any_other_crawl_takes_them_back(
    opening: Open, whole: Path, slices: list[Slice], given: dict[str, Any]
) -> None:
    crawl_slice(whole, slices[0], SOME)
    opened = opening(**given)
    assert not list(whole.parent.glob("*#*"))
    balance = opened.ledger.wait_for(lambda ledger: ledger.images.balance())
    assert balance.listed == len(SOME)
    assert opened.ledger.wait_for(lambda ledger: ledger.slices.find(1)) == replace(
        slices[0], state=SliceState.MERGED
    )


def test_the_runs_of_slices_count(opening: Open, whole: Path, slices: list[Slice]) -> None:
    """Damage is believed in another run: those of slices are some."""
    for _ in range(3):
        opened = opening(slice_number=1)
        last = opened.run_number
        opened.close()
    assert opening().run_number == last + 1


def test_a_slice_that_waits_for_urls_has_them_renewed_once(
    opening: Open, slices: list[Slice]
) -> None:
    opened = opening(slice_number=1)
    assert opened.gives_back
    opened.ledger.wait_for(lambda ledger: ledger.slices.set_wants_urls())
    opened.close()
    renewing = opening(cut=True)
    assert renewing.renews
    renewing.close()  # before it has done so
    in_vain = opening(slice_number=1)
    assert not in_vain.gives_back
    in_vain.close()
    renewing = opening(cut=True)
    renewing.ledger.wait_for(lambda ledger: ledger.slices.set_renewed())
    renewing.close()
    assert refused(opening, cut=True)[0] is Outcome.CUT
    renewed = opening(slice_number=1)
    assert not renewed.gives_back  # by a wrong clock they are expired again
    renewed.close()
    assert opening(slice_number=1).gives_back


def test_what_is_left_of_a_lost_whole_is_not_crawled(
    opening: Open, whole: Path, slices: list[Slice]
) -> None:
    make_slice(whole, slice_folder(whole, 1), slices[0])
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(cut={**ledger.facts.get("cut"), "id": "another"})
        ledger.database.execute("UPDATE slices SET cut = 'another'")
    for given in ({"slice_number": 1}, {}):
        outcome, line = refused(opening, **given)
        assert outcome is Outcome.REFUSED
        assert f"move {slice_folder(whole, 1)} away, and its images are fetched again" in line
    slice_folder(whole, 1).rename(whole.parent / "away")
    opening(slice_number=1).close()
    opening()


def test_a_lock_of_a_slice_is_in_the_way(opening: Open, whole: Path, slices: list[Slice]) -> None:
    lock = Lock({whole.parent}, slice_folder(whole, slices[-1].number).name)
    assert refused(opening)[0] is Outcome.LOCKED
    lock.release()
    opening()


UPLOADING: dict[str, Any] = {"cut": True, "upload": True}
REMOVING: dict[str, Any] = {**UPLOADING, "remove": True}


def room_for(monkeypatch: pytest.MonkeyPatch, images: int) -> dict[str, Any]:
    """Return the environment that has room for so many images beside those that are there."""
    monkeypatch.setattr(slice_room, "sizes_besides", lambda _: iter(()))
    size = sum(len(each.body) for each in SOME[:8])
    each = size * 9 // (8 * 8)
    slack = min(TAR_MAX_BYTES // 8, 500)
    bound = size + TAR_MAX_BYTES + slack + images * each
    return {"STAGING_MAX_BYTES": f"{bound}", "IN_FLIGHT_BYTES": "1000"}


def test_an_upload_gathers_what_has_ended_and_leaves_the_rest(
    opening: Open, whole: Path, slices: list[Slice]
) -> None:
    crawl_slice(whole, slices[1], SOME)
    at_work = opening(slice_number=1, upload=True, remove=True)
    assert not at_work.arguments.upload, "a slice speaks to nobody"
    opened = opening(**UPLOADING)
    assert opened.gathers
    states = [part.state for part in read_slices(whole) or []]
    assert states[:3] == [SliceState.OPEN, SliceState.MERGED, SliceState.OPEN]
    balance = opened.ledger.wait_for(lambda ledger: balance_of(opened, ledger))
    assert balance.listed == len(SOME)
    opened.close()
    at_work.close()
    for part in (slices[0], *slices[2:]):
        crawl_slice(whole, part, SOME)
    assert not opening(**UPLOADING).gathers


def test_slices_of_lower_numbers_have_the_room_first(
    opening: Open, whole: Path, slices: list[Slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = room_for(monkeypatch, slices[0].images + slices[1].images)
    given: dict[str, Any] = {"upload": True, "remove": True, "environment": environment}
    opening(slice_number=2, **given)
    outcome, line = refused(opening, slice_number=3, **given)
    assert outcome is Outcome.DISK_FULL
    assert "no room for it beside what is here and the slices before it" in line
    assert not slice_folder(whole, 3).exists()
    opening(slice_number=1, **given)
    opening(slice_number=3, **{**given, "environment": {}})


def test_slices_without_room_are_taken_back_only_where_nothing_makes_any(
    opening: Open, whole: Path, slices: list[Slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**room_for(monkeypatch, slices[0].images - 3), "SLICE_IMAGES": "7"}
    given = {**REMOVING, "environment": environment}
    lock = Lock({whole.parent}, slice_folder(whole, 2).name)
    opened = opening(**given)
    assert opened.gathers, "somebody is at work"
    opened.close()
    lock.release()
    make_slice(whole, slice_folder(whole, 3), slices[2])
    opened = opening(**given)
    assert (opened.gathers, opened.takes_back) == (False, True)
    assert not list(whole.parent.glob("*#*"))
    assert not opened.ledger.wait_for(lambda ledger: ledger.slices.may_be_cut(7))


def test_slices_whose_tars_wait_for_archive_org_are_left(
    opening: Open, whole: Path, slices: list[Slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl_slice(whole, slices[1], SOME)
    monkeypatch.setattr(slice_room.SliceRoom, "lacks", lambda *_: True)
    given = {**REMOVING, "environment": room_for(monkeypatch, 50)}
    opened = opening(**given)
    assert opened.gathers
    for piece in opened.ledger.wait_for(own_tars):
        opened.ledger.wait_for(
            lambda ledger, name=piece.name: ledger.pieces.set_state(name, PieceState.REMOVED, "x")
        )
    opened.close()
    assert not opening(**given).gathers


def test_where_tars_are_removed_a_slice_has_a_part_of_the_room(
    opening: Open, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(whole, [*SOME[:8], *map(unsettled, SOME[8:])])
    with closing(Ledger(whole / LEDGER_PATH)) as ledger:
        ledger.facts.set(tar=True, tar_max_bytes=TAR_MAX_BYTES)

    def sizes(images: int) -> list[int] | None:
        environment = {**room_for(monkeypatch, images), "SLICE_IMAGES": "16"}
        opened = opening(**REMOVING, environment=environment)
        try:
            if not opened.ledger.wait_for(partial(may_be_cut, opened)):
                return None
            opened.ledger.wait_for(partial(cut, opened))
            return [part.images for part in opened.ledger.wait_for(lambda it: it.slices.all())]
        finally:
            opened.ledger.wait_for(lambda ledger: ledger.slices.forget_cut())
            opened.close()

    few, many = sizes(8 * 16), sizes(8 * 4)
    assert few
    assert many
    assert len(few) < len(many)
    assert sizes(8) is None, "a day alone wants more than half of it"
