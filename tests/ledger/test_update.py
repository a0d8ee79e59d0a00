"""What an update of a finished collection asks for, lists, and finds to be vanished."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.ledger import streams
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import Changes, FailedAttempt, State
from mapillary_crawler.ledger.thread import LedgerHere
from tests.ledgers import fresh_ledger, row, stored

IDS = st.sets(st.integers(1, 8))


def finished(ledger: Ledger, states: dict[int, State]) -> None:
    """Make the ledger of a finished collection, of which each image is in a state."""
    ledger.listing.commit(None, None, [row(each) for each in states])
    for number, state in enumerate(states.values(), 1):
        if state in (State.SAVED, State.DAMAGED):
            ledger.save([stored(number, damaged=state is State.DAMAGED)])
        else:
            ledger.settle([number], state)
    close(ledger)


def close(ledger: Ledger) -> None:
    ledger.listing.close()
    ledger.facts.set(finished_at=1.0)


def list_again(ledger: Ledger, answers: Sequence[Collection[int]]) -> int:
    """Go through the listing, which is answered so; return how often it was."""
    for times, answer in enumerate(answers, 1):
        ledger.listing.commit(None, None, [row(each) for each in answer])
        if not ledger.update.lists_again():
            ledger.listing.close()
            return times
    raise AssertionError("a third round")


def save_all(ledger: Ledger) -> list[str]:
    """Save what is wanted; return which images that was."""
    due = ledger.queue.draw(math.inf, 1000)
    ledger.save([stored(image.number) for image in due])
    return [image.image_id for image in due]


def vanished(ledger: Ledger) -> set[int]:
    images = streams.in_order(LedgerHere(ledger))
    return {int(image.image_id) for image in images if image.vanished_at is not None}


def end(ledger: Ledger) -> None:
    ledger.update.end()
    ledger.facts.set(finished_at=2.0)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 8), min_size=1), st.lists(st.tuples(IDS, IDS), max_size=4))
def test_vanished_is_what_no_round_of_the_update_has(first, history):
    with fresh_ledger() as ledger:
        finished(ledger, dict.fromkeys(sorted(first), State.SAVED))
        saved, last_listed = set(first), set(first)
        for answers in history:
            ledger.update.begin()
            times = list_again(ledger, answers)
            assert times == (1 if last_listed <= answers[0] else 2)
            listed = set().union(*answers[:times])
            assert {int(each) for each in save_all(ledger)} == listed - saved
            before = vanished(ledger)
            changes = ledger.update.conclude()
            assert ledger.update.conclude() == changes
            assert changes.new == len(listed - saved)
            saved |= listed
            assert vanished(ledger) == saved - listed
            assert changes.vanished == len(vanished(ledger) - before)
            assert changes.changed == (bool(changes.new) or vanished(ledger) != before)
            balance = ledger.images.balance()
            assert (balance.saved, balance.vanished) == (len(saved), len(saved - listed))
            assert balance.unsettled == 0
            last_listed = listed
            end(ledger)


STATES = st.sampled_from(
    [State.SAVED, State.DAMAGED, State.GONE, State.UNAVAILABLE, State.ACCEPTED, State.OUTSIDE]
)
ANSWERS = st.sampled_from(["comes", "fails", "gone", "unavailable", "damaged", "not asked"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(STATES.filter(lambda state: state is not State.OUTSIDE), ANSWERS),
        min_size=1,
        max_size=6,
    )
)
def test_what_was_settled_badly_is_asked_for_once_more_and_nothing_gets_worse(images):
    with fresh_ledger() as ledger:
        states = {number: state for number, (state, _) in enumerate(images, 1)}
        finished(ledger, states)
        before = records(ledger)
        ledger.update.begin()
        ledger.start_run()
        list_again(ledger, [list(states)] * 2)
        asked = {image.number for image in ledger.queue.draw(math.inf, 1000)}
        again = (State.DAMAGED, State.UNAVAILABLE, State.ACCEPTED)
        assert asked == {number for number, state in states.items() if state in again}
        for number in asked:
            answer(ledger, number, images[number - 1][1])
        changes = ledger.update.conclude()
        assert ledger.images.balance().unsettled == 0
        assert ledger.survey.kept() == {
            state: ledger.survey.recount().get(state, (0, 0)) for state in State
        }
        after = records(ledger)
        came = {number for number in asked if images[number - 1][1] == "comes"}
        assert changes.available == len(came)
        for number, state in states.items():
            now, said = after[number], images[number - 1][1]
            if number in came:
                assert now[0] is State.SAVED
            elif number in asked and said in ("gone", "unavailable") and state != State.DAMAGED:
                assert now[0] is (State.GONE if said == "gone" else State.UNAVAILABLE)
            elif number in asked and said == "damaged" and state != State.DAMAGED:
                assert now[0] is State.DAMAGED
            else:
                assert now == before[number]
        assert changes.changed == (
            {number: record[0] for number, record in after.items()} != states
        )
        end(ledger)
        assert ledger.facts.get("updating") is None


def answer(ledger: Ledger, number: int, said: str) -> None:
    """Let the service answer once more for an image."""
    if said == "comes":
        ledger.save([stored(number, size=99)])
    elif said == "fails":
        ledger.queue.fail([FailedAttempt(number, "no", math.inf)])
    elif said == "damaged":
        if not ledger.stays_damaged(number):
            ledger.save([stored(number, damaged=True)])
    elif said != "not asked":
        ledger.settle([number], State.GONE if said == "gone" else State.UNAVAILABLE)


def records(ledger: Ledger) -> dict[int, tuple[object, ...]]:
    rows: Iterable[tuple[int, ...]] = ledger.database.execute(
        "SELECT number, state, extension, sha256_served, sha256_stored, size, piece, offset "
        "FROM images"
    ).fetchall()
    return {number: (State(state), *rest) for number, state, *rest in rows}


def test_a_round_that_is_cut_off_makes_nothing_vanish():
    with fresh_ledger() as ledger:
        finished(ledger, dict.fromkeys(range(1, 6), State.SAVED))
        ledger.update.begin()
        assert list_again(ledger, [[1, 2], [2, 3, 4, 5]]) == 2
        assert ledger.update.conclude() == Changes()


def test_gone_images_that_are_missing_bring_one_second_round_and_no_more():
    with fresh_ledger() as ledger:
        finished(ledger, {1: State.SAVED, 2: State.GONE})
        for rounds in (2, 1):
            ledger.update.begin()
            assert list_again(ledger, [[1], [1]]) == rounds
            assert save_all(ledger) == []
            assert ledger.update.conclude() == Changes()
            end(ledger)


def test_a_crash_between_two_rounds_begins_no_third():
    with fresh_ledger() as ledger:
        finished(ledger, dict.fromkeys(range(1, 4), State.SAVED))
        ledger.update.begin()
        ledger.listing.commit(None, None, [row(1)])
        assert ledger.listing.position().ended
        assert ledger.update.lists_again()
        ledger.start_run()
        assert not ledger.listing.position().ended
        ledger.listing.commit(None, None, [row(1)])
        assert not ledger.update.lists_again()
        assert not ledger.update.lists_again()


def test_an_image_outside_the_selection_that_is_new_changes_nothing():
    with fresh_ledger() as ledger:
        finished(ledger, {1: State.SAVED})
        ledger.update.begin()
        ledger.listing.commit(None, None, [row(1), row(2, outside=True)])
        assert not ledger.update.lists_again()
        ledger.listing.close()
        assert ledger.update.conclude() == Changes()
