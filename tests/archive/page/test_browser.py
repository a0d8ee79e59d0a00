"""The page in a real browser: from a file, with and without a script, at every width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.archive.page.contents_made import contents, written
from tests.browser import SIZES, visited

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page whose names are hostile."""
    made = contents(sequences=120, username="</script><script>throw 1</script>\u202ealice")
    made.census.cameras["</td><script>throw 2</script>"] = 3
    made.census.cameras["M" * 1000] = 10**6  # without a place to break it
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(written(made), "utf-8")
    return path


def drawn(page: Page) -> str:
    """Return what the map shows, once it has been drawn."""
    page.wait_for_function("() => new Promise(requestAnimationFrame)")
    shown: str = page.evaluate("document.getElementById('canvas').toDataURL()")
    return shown


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Iterator[Page]:
    """Give the page with its map, and require that nothing was asked for or complained of."""
    with visited(chromium, page) as visit:
        visit.page.wait_for_selector("#map:not([hidden])")
        yield visit.page
        assert visit.complaints == []
        assert visit.requests == [page.as_uri()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_it_opens_from_a_file_at_any_width(
    chromium: Browser, page: Path, width: int, dark: bool
) -> None:
    with visited(chromium, page, width=width, dark=dark) as visit:
        visit.page.wait_for_selector("#map:not([hidden])")
        assert not visit.scrolls_sideways()
        assert visit.unnamed_controls() == []
        assert len(set(re.findall("....", drawn(visit.page)))) > 500  # it is not of one colour
        background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark
        assert visit.complaints == []
        assert visit.requests == [page.as_uri()]


@pytest.mark.parametrize("width", SIZES)
def test_without_a_script_it_says_the_same(chromium: Browser, page: Path, width: int) -> None:
    with visited(chromium, page, width=width, script=False) as visit:
        seen = visit.page.locator("body").inner_text()
        for said in ("images", "Apple iPhone 7", "Some of the pictures", "tar xf", "2019"):
            assert said in seen
        assert "The map needs JavaScript" in seen
        assert not visit.page.locator("#map").is_visible()
        assert visit.page.locator("rect").first.is_visible()
        sizes = visit.page.evaluate("[...document.images].map((image) => image.naturalWidth)")
        assert len(sizes) == 16
        assert all(sizes)
        assert not visit.scrolls_sideways()
        assert visit.requests == [page.as_uri()]


def test_names_run_nothing_and_are_shown(opened: Page) -> None:
    assert opened.locator("h1 bdi").inner_text() == "</script><script>throw 1</script>alice"
    assert opened.locator("script").count() == 3


def test_the_map_moves_by_mouse_wheel_buttons_and_keys(opened: Page) -> None:
    seen = [drawn(opened)]

    def changed() -> bool:
        seen.append(drawn(opened))
        return seen[-1] != seen[-2]

    canvas = opened.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(*middle)
    opened.mouse.wheel(0, -400)
    assert changed()
    opened.mouse.down()
    opened.mouse.move(middle[0] + 90, middle[1] + 40, steps=3)
    opened.mouse.up()
    assert changed()
    for name in ("Zoom in", "Zoom out"):
        opened.get_by_role("button", name=name).click()
        assert changed()
    canvas.focus()
    for key in ("ArrowLeft", "ArrowUp", "+", "-"):
        opened.keyboard.press(key)
        assert changed(), key
    opened.keyboard.press("0")
    assert changed()
    assert seen[-1] == seen[0]  # all of it again


def test_two_fingers_zoom(chromium: Browser, page: Path) -> None:
    with visited(chromium, page, width=360, touch=True) as visit:
        visit.page.wait_for_selector("#map:not([hidden])")
        visit.page.locator("#canvas").scroll_into_view_if_needed()
        before = drawn(visit.page)
        box: Any = visit.page.locator("#canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = visit.page.context.new_cdp_session(visit.page)

        def touch(kind: str, *apart: int) -> None:
            points = [{"x": x + each, "y": y, "id": at} for at, each in enumerate(apart)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", -20, 20)
        touch("touchMove", -60, 60)
        touch("touchMove", -100, 100)
        touch("touchEnd")
        assert drawn(visit.page) != before
        assert visit.complaints == []


def test_a_line_says_its_day_and_where_it_is(opened: Page) -> None:
    canvas = opened.locator("#canvas")
    canvas.focus()
    opened.keyboard.press("Enter")
    status = opened.locator("#status")
    assert re.search(r"\d+ \w+ 20\d\d: \d+ images, in 20\d\d-\d\d-\d\d\.tar$", status.inner_text())
    link = status.locator("a")
    assert link.get_attribute("href") == link.inner_text()
    opened.keyboard.press("Escape")
    assert status.inner_text() == ""


def test_a_month_is_chosen_in_the_chart_or_the_list(opened: Page) -> None:
    whole = drawn(opened)
    bar = opened.locator("rect[data-month]").first
    month = bar.get_attribute("data-month")
    assert month
    bar.click()
    assert opened.locator("#when").input_value() == month
    of_month = drawn(opened)
    assert of_month != whole
    opened.get_by_role("combobox", name="Taken").select_option(month[:4])
    assert drawn(opened) != of_month
    opened.get_by_role("button", name="Show all").click()
    assert opened.locator("#when").input_value() == ""
    assert drawn(opened) == whole


def test_a_picture_leads_to_its_place(opened: Page) -> None:
    before = drawn(opened)
    opened.get_by_role("button", name=re.compile("^Picture of ")).first.click()
    assert drawn(opened) != before
    assert opened.evaluate("document.activeElement.id") == "canvas"
    link = opened.get_by_role("link", name="This place on OpenStreetMap")
    link.focus()
    assert re.fullmatch(
        r"https://www\.openstreetmap\.org/#map=\d+/-?\d+\.\d{5}/-?\d+\.\d{5}",
        link.get_attribute("href") or "",
    )


def test_an_old_browser_is_told_why_there_is_no_map(chromium: Browser, page: Path) -> None:
    with visited(chromium, "about:blank") as visit:
        visit.page.add_init_script("delete window.DecompressionStream")
        visit.page.goto(page.as_uri())
        assert visit.page.locator("#old").is_visible()
        assert not visit.page.locator("#map").is_visible()
        assert visit.complaints == []
