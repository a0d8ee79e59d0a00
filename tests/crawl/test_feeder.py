"""The feeder ends when nothing can become due any more, not before and not after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mapillary_crawler.collection.outcome import EndOfRun, Outcome
from mapillary_crawler.crawl import clock, feeder, fresh_urls
from mapillary_crawler.crawl.feeder import Feeder
from mapillary_crawler.crawl.gone import Gone
from mapillary_crawler.crawl.staging_room import StagingRoom
from mapillary_crawler.graph.answers import Answer, Meaning
from mapillary_crawler.graph.patience import Patience
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import FailedAttempt, Source
from mapillary_crawler.ledger.thread import LedgerThread
from tests.ledgers import row, stored
from tests.runs import Listed, plain_run

_FAR, _LONG_AGO = int(time.time()) + 1_000_000, 1000


class Client:
    """Answers as it is told to; notes what it was asked for."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.patience = Patience(7200)
        self.asked: list[str] = []
        self._answer = answer

    async def ask(self, url: str, **_: Any) -> Answer:
        self.asked.append(url)
        await asyncio.sleep(0)
        return self._answer(url)


class Thread(LedgerThread):
    """Calls `asked` after what was asked, before the answer is known."""

    async def asked(self) -> None:
        pass

    async def ask(self, work: Callable[[Ledger], Any]) -> Any:
        found = await super().ask(work)
        await self.asked()
        return found


class Crawl:
    """A feeder on a ledger of some images; each that it yields is saved, unless told otherwise."""

    def __init__(
        self,
        folder: Path,
        images: int,
        expires: int | None,
        client: Client | None = None,
        url: str | None = "https://cdn.example.org/1",
    ):
        self.ledger = Thread(folder / "ledger.sqlite")
        rows = [row(number, url=url, expires=expires) for number in range(1, images + 1)]
        self.ledger.wait_for(lambda ledger: ledger.listing.commit(None, None, rows))
        self.ledger.wait_for(lambda ledger: ledger.listing.close())
        self.client = client
        self.listing = Listed()
        self.attempts: list[int] = []
        self.begun = asyncio.Event()

    async def run(self, *, gives_back: bool = False) -> None:
        run = plain_run(client=self.client, opened={"gives_back": gives_back})
        run.ledger = self.ledger
        run.gone = Gone(self.ledger, 6, dict.fromkeys(Source, self.comes))
        async for item in Feeder(run, self.listing).items():
            self.attempts.append(item.attempts)
            self.begun.set()
            if item.attempts or self.client:
                saved = [stored(item.number)]
                await self.ledger.ask(lambda ledger, saved=saved: ledger.save(saved))

    async def comes(self, image_id: str) -> bool:
        return True

    def balance(self) -> tuple[int, int]:
        """Return how many images are saved, and unavailable."""
        balance = self.ledger.wait_for(lambda ledger: ledger.images.balance())
        return balance.saved, balance.unavailable

    def close(self) -> None:
        self.ledger.close()


def test_an_image_that_fails_between_two_looks_is_fed_again(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, images=1, expires=_FAR)
    failed = [FailedAttempt(1, "reset", time.time() + 0.2)]
    looks = 0

    async def fail_once() -> None:
        """Let the one image fail after a look, before its answer is known."""
        nonlocal looks
        looks += crawl.attempts == [0]
        if looks == 1:
            await LedgerThread.ask(crawl.ledger, lambda ledger: ledger.queue.fail(failed))

    crawl.ledger.asked = fail_once
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.attempts == [0, 1]
    assert looks
    crawl.close()


def test_a_clock_set_back_in_mid_run_holds_back_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = Crawl(tmp_path, images=1, expires=_FAR)
    failed = [FailedAttempt(1, "reset", clock.now() + 0.2)]
    real, failures = time.time, 0

    async def fail_once() -> None:
        nonlocal failures
        if crawl.attempts == [0] and not failures:
            failures += 1
            monkeypatch.setattr(time, "time", lambda: real() - 3600)
            await LedgerThread.ask(crawl.ledger, lambda ledger: ledger.queue.fail(failed))

    crawl.ledger.asked = fail_once
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.attempts == [0, 1]
    assert failures
    crawl.close()


def entity(image_id: str) -> dict[str, str]:
    return {"id": image_id, "thumb_256_url": f"https://cdn.example.org/{image_id}?oe=ffffffff"}


@pytest.mark.parametrize("service", ["circle", "rejected cursor"])
def test_a_listing_again_that_leads_nowhere_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setattr(fresh_urls, "_MANY_EXPIRED", 3)

    def answer(url: str) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if "ids" in asked:
            found = {image_id: entity(image_id) for image_id in asked["ids"].split(",")}
            return Answer(Meaning.DATA, data=found)
        after = asked.get("after")
        if after and service == "rejected cursor":
            return Answer(Meaning.CURSOR_REJECTED, "no such cursor")
        paging = {"cursors": {"after": "B" if after == "A" else "A"}, "next": "x"}
        return Answer(Meaning.DATA, data={"data": [{"id": "x"}], "paging": paging})

    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=Client(answer))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert len(crawl.attempts) == 10
    assert crawl.client is not None
    assert len(crawl.client.asked) <= 5
    crawl.close()


def asked_ids(url: str) -> list[str]:
    """Return the ids that a question names, whether for a batch or for one image."""
    asked = urlsplit(url)
    batch = parse_qs(asked.query).get("ids")
    return batch[0].split(",") if batch else [asked.path.strip("/")]


def data(url: str, of: Callable[[str], dict[str, str]] = entity) -> Answer:
    """Answer a question for a batch, or for one image."""
    found = {image: of(image) for image in asked_ids(url)}
    return Answer(Meaning.DATA, data=found if "ids=" in url else found[asked_ids(url)[0]])


def bare(image_id: str) -> dict[str, str]:
    return {"id": image_id}


def test_images_are_fetched_while_their_user_is_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second page comes only once an image of the first one was fetched."""
    monkeypatch.setattr(fresh_urls, "_MANY_EXPIRED", 3)
    monkeypatch.setattr(feeder, "_DRAWN", 4)

    class Pages(Client):
        async def ask(self, url: str, **_: Any) -> Answer:
            second = "after" in parse_qs(urlsplit(url).query)
            if second:
                await crawl.begun.wait()
            rows = [entity(str(number)) for number in (range(6, 11) if second else range(1, 6))]
            paging = {} if second else {"cursors": {"after": "A"}, "next": "x"}
            return Answer(Meaning.DATA, data={"data": rows, "paging": paging})

    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=Pages(lambda _: NOT_ASKED))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert len(crawl.attempts) == 10
    crawl.close()


def test_a_slice_whose_urls_have_expired_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_urls, "_MANY_EXPIRED", 3)
    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=Client(lambda _: NOT_ASKED))
    with pytest.raises(EndOfRun, match="10 URLs of the slice have expired") as end:
        asyncio.run(asyncio.wait_for(crawl.run(gives_back=True), 30))
    assert end.value.outcome is Outcome.INTERRUPTED
    assert crawl.client is not None
    assert crawl.client.asked == []
    assert crawl.ledger.wait_for(lambda ledger: ledger.slices.wants_urls)
    crawl.close()


NOT_ASKED = Answer(Meaning.RETRY, "nobody asks for this")


def test_a_column_that_is_missing_once_makes_nothing_unavailable(tmp_path: Path) -> None:
    """Graph API: a column can be missing from a whole answer."""
    times = 0

    def answer(url: str) -> Answer:
        nonlocal times
        times += 1
        return data(url, bare if times == 1 else entity)

    crawl = Crawl(tmp_path, images=10, expires=None, client=Client(answer), url=None)
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (10, 0)
    crawl.close()


@pytest.mark.parametrize(
    ("url", "known", "questions"),
    [
        (None, True, (2, 4)),
        (None, False, (6, 18)),
        ("https://cdn.example.org/1", True, (6, 24)),
    ],
)
def test_unavailable_is_believed_at_once_only_where_others_have_urls(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str | None,
    known: bool,
    questions: tuple[int, int],
) -> None:
    monkeypatch.setattr(fresh_urls, "full_jitter", lambda *_: 0.0)
    client = Client(lambda url: data(url, lambda name: entity(name) if name == "4" else bare(name)))
    expires = _LONG_AGO if url else None
    crawl = Crawl(tmp_path, images=4 if known else 3, expires=expires, client=client, url=url)
    if known:
        crawl.ledger.wait_for(lambda ledger: ledger.save([stored(4)]))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (int(known), 3)
    least, most = questions
    assert least <= len(client.asked) <= most
    crawl.close()


def no_url_of_the_first(url: str) -> Answer:
    return data(url, lambda name: bare(name) if name == "1" else entity(name))


def test_what_was_saved_once_is_not_unavailable_by_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_urls, "full_jitter", lambda *_: 0.0)
    client = Client(no_url_of_the_first)
    crawl = Crawl(tmp_path, images=2, expires=_FAR, client=client)
    crawl.ledger.wait_for(lambda ledger: ledger.save([stored(1), stored(2)]))
    crawl.ledger.wait_for(lambda ledger: ledger.images.unsettle([1], "checksum differs"))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (1, 1)
    assert sum(asked_ids(url) == ["1"] for url in client.asked) == 6
    crawl.close()


def test_other_failures_do_not_stand_for_answers_without_a_url(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, images=2, expires=_FAR, client=Client(no_url_of_the_first))
    crawl.ledger.wait_for(lambda ledger: ledger.save([stored(2)]))
    failed = [FailedAttempt(1, "reset", 0, drop_url=True)]
    for _ in range(5):
        crawl.ledger.wait_for(lambda ledger: ledger.queue.fail(failed))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (1, 0)
    crawl.close()


def test_nothing_is_unavailable_while_the_column_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_urls, "full_jitter", lambda *_: 0.0)
    client = Client(lambda url: data(url, bare))
    crawl = Crawl(tmp_path, images=4, expires=None, client=client, url=None)
    crawl.ledger.wait_for(lambda ledger: ledger.save([stored(4)]))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (1, 0)
    crawl.close()


def test_what_is_refused_for_ever_fails_and_holds_back_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_urls, "full_jitter", lambda *_: 0.0)

    def answer(url: str) -> Answer:
        ids = asked_ids(url)
        refused = len(ids) > 1 or ids == ["7"]
        return Answer(Meaning.RETRY, "HTTP 500") if refused else data(url)

    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=Client(answer))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (9, 0)
    crawl.close()


def test_one_image_that_is_too_much_fails_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is halved, down to one image, and that one is not halved for ever."""
    monkeypatch.setattr(fresh_urls, "full_jitter", lambda *_: 0.0)

    def answer(url: str) -> Answer:
        too_much = "7" in asked_ids(url)
        return Answer(Meaning.ASK_FOR_LESS, "reduce the data") if too_much else data(url)

    client = Client(answer)
    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=client)
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.balance() == (9, 0)
    assert len(client.asked) < 30
    crawl.close()


@pytest.mark.parametrize("remove", [True, False])
def test_where_days_are_removed_nothing_is_fetched_before_all_are_listed(
    tmp_path: Path, remove: bool
) -> None:
    ledger = LedgerThread(tmp_path / "ledger.sqlite")
    times = [86_400_000, 0, None]
    rows = [row(number, at, expires=_FAR) for number, at in enumerate(times, 1)]
    ledger.wait_for(lambda ledger: ledger.listing.commit(None, "more", rows))
    listing = Listed(
        looks=6, on_end=partial(ledger.wait_for, lambda ledger: ledger.listing.close())
    )

    async def feed() -> list[str]:
        configuration = SimpleNamespace(
            in_flight_bytes=1 << 26, staging_max_bytes=0, min_free_bytes=0
        )
        opened = {
            "arguments": SimpleNamespace(remove=remove),
            "configuration": configuration,
            "folder": tmp_path,
        }
        run = plain_run(client=None, opened=opened)
        run.ledger, run.gone = ledger, Gone(ledger, 6, {})
        run.room = StagingRoom(run, part=1 << 20) if remove else None
        found = []
        async for item in Feeder(run, listing).items():
            found.append(item.image_id)
            saved = [stored(item.number)]
            await ledger.ask(lambda ledger, saved=saved: ledger.save(saved))
        return found

    found = asyncio.run(asyncio.wait_for(feed(), 30))
    assert found == (["2", "1", "3"] if remove else ["1", "2", "3"])
    ledger.close()


def test_a_listing_that_goes_first_holds_the_images(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, images=2, expires=_FAR)
    crawl.listing = Listed(looks=6, holds_images=True)

    async def feed() -> None:
        feeding = asyncio.ensure_future(crawl.run())
        while crawl.listing.open:
            assert not crawl.attempts
            await asyncio.sleep(0.1)
        crawl.listing.holds_images = False
        await crawl.begun.wait()
        feeding.cancel()

    asyncio.run(asyncio.wait_for(feed(), 30))
    assert crawl.attempts
    crawl.close()


def test_urls_are_made_fresh_for_the_first_days_first(tmp_path: Path) -> None:
    """Design: within a day in the order of members, whatever the state of URLs."""
    crawl = Crawl(tmp_path, images=10, expires=_LONG_AGO, client=Client(data))
    asyncio.run(asyncio.wait_for(crawl.run(), 30))
    assert crawl.client is not None
    assert asked_ids(crawl.client.asked[0]) == sorted(str(n) for n in range(1, 11))
    crawl.close()
