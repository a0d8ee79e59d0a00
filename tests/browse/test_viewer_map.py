"""The viewer's map, months, filters and list in a real browser, by mouse and by keyboard."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.browse.viewing import DAMAGED, NAME, Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("viewer")]


def month(row: dict[str, Any]) -> str:
    captured = row.get("captured_at")
    return f"{datetime.fromtimestamp(captured / 1000, UTC):%Y-%m}" if captured else ""


def at(row: dict[str, Any], zoom: float = 18) -> str:
    longitude, latitude = row["computed_geometry"]["coordinates"]
    return f"{zoom}/{latitude}/{longitude}"


def test_it_opens_on_a_collection_and_asks_nobody_else(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium, {"c": "no such one"}) as page:
        assert page.place()["c"] == NAME
        assert page.said("#summary").startswith("90 images · May 2024")
        assert page.said("#list-heading") == "90 images"
        assert NAME in page.page.title()
        assert page.page.locator("#thumbnails img").count() == 60
        host = viewer.address.split("/?")[0]
        assert {each[: len(host)] for each in page.visit.requests} == {host}
        assert page.complaints == []


def test_land_and_tracks_are_drawn(viewer: Viewer, chromium: Browser) -> None:
    count = """(name) => {
        const canvas = document.getElementById("canvas");
        const wanted = getComputedStyle(document.documentElement).getPropertyValue(name);
        const [r, g, b] = wanted.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4) {
            found += data[at] === r && data[at + 1] === g && data[at + 2] === b;
        }
        return found;
    }"""
    with viewer.page(chromium) as page:
        assert page.page.evaluate(count, "--map-track") > 300
    with viewer.page(chromium, {"at": "2/20/10"}) as page:
        assert page.page.evaluate(count, "--map-land") > 20_000
        assert page.page.evaluate(count, "--map-sea") > 20_000
    # Siberia's outline crosses the 180th meridian, which must not lead around the world.
    with viewer.page(chromium, {"at": "9/67/65"}) as page:
        assert page.page.evaluate(count, "--map-sea") == 0


def test_the_map_moves_by_mouse_buttons_and_keys(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium) as page:
        zoom, latitude, longitude = page.view()
        page.drag("#canvas", 200, 100)
        assert page.view()[0] == zoom
        assert page.view()[1] > latitude
        assert page.view()[2] < longitude
        page.page.mouse.wheel(0, -300)
        page.settle()
        assert page.view()[0] > zoom
        page.click("#zoom-out")
        page.click("#zoom-all")
        assert page.view() == pytest.approx((zoom, latitude, longitude), abs=1e-5)
        page.page.locator("#canvas").focus()
        page.press("ArrowUp", "ArrowLeft", "+", "+", "-")
        assert page.view()[0] == pytest.approx(zoom + 1)
        assert page.view()[1] > latitude
        assert page.view()[2] < longitude
        assert page.complaints == []


def test_two_fingers_zoom(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium, touch=True) as page:
        before = page.view()
        x, y = page.middle()
        session = page.page.context.new_cdp_session(page.page)
        for kind, apart in (("Start", 40), ("Move", 60), ("Move", 80), ("End", None)):
            points = [] if apart is None else [{"x": x - apart, "y": y}, {"x": x + apart, "y": y}]
            for number, point in enumerate(points):
                point["id"] = number
            session.send(
                "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
            )
        page.settle()
        assert page.view()[0] == pytest.approx(before[0] + 1, abs=0.05)
        assert page.view()[1:] == pytest.approx(before[1:], abs=1e-4)


def test_a_click_opens_the_image_that_is_there(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.rows[40]
    with viewer.page(chromium, {"at": at(row)}) as page:
        page.page.mouse.click(*page.middle())
        page.settle()
        assert page.place()["image"] == str(viewer.number(row))
        assert row["id"] in page.said("#facts")
        page.page.go_back()
        page.settle()
        assert "image" not in page.place()
        assert page.page.locator("#image").is_hidden()


def test_a_click_on_a_track_from_afar_opens_one_of_it(viewer: Viewer, chromium: Browser) -> None:
    sequence = viewer.of_sequence(panorama=False)
    with viewer.page(chromium, {"at": at(sequence[15], 13)}) as page:
        page.page.mouse.click(*page.middle())
        page.settle()
        number = int(page.place()["image"])
        assert viewer.rows[number - 1]["sequence"] in {row["sequence"] for row in viewer.rows}
        assert page.complaints == []


def test_the_mouse_on_an_image_shows_it(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium, {"at": at(viewer.rows[40])}) as page:
        page.page.mouse.move(*page.middle())
        page.page.locator("#hover").wait_for(state="visible")
        page.page.mouse.move(5, 5)
        page.page.locator("#hover").wait_for(state="hidden")


def test_filters_choose_and_chips_end_them(viewer: Viewer, chromium: Browser) -> None:
    panoramas = sum(row["is_pano"] for row in viewer.rows)
    sequences = Counter(row["sequence"] for row in viewer.rows)
    sequence, images = sequences.most_common(1)[0]
    with viewer.page(chromium) as page:
        page.page.locator("#filter-pano").select_option("1")
        page.settle()
        assert page.said("#list-heading") == f"{panoramas} images"
        assert page.place()["pano"] == "1"
        page.click("#chips button")
        assert page.said("#list-heading") == "90 images"
        page.page.locator("#filter-sequence").fill(sequence)
        page.press("Enter")
        assert page.said("#list-heading") == f"{images} images"
        page.page.go_back()
        page.settle()
        assert page.said("#list-heading") == "90 images"
        assert page.page.locator("#filter-sequence").input_value() == ""
        camera = page.page.locator("#filter-camera option").nth(1)
        page.page.locator("#filter-camera").select_option(index=1)
        page.settle()
        assert f"({page.said('#list-heading').split()[0]})" in (camera.text_content() or "")
        day = page.page.locator("#filter-day option").nth(1)
        page.click("#chips button")
        page.page.locator("#filter-day").select_option(index=1)
        page.settle()
        assert f"({page.said('#list-heading').split()[0]})" in (day.text_content() or "")
        page.page.reload()
        page.settle()
        assert page.page.locator("#filter-day").input_value() == page.place()["day"]
        assert page.complaints == []


def test_a_filter_goes_where_its_images_are(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=False)[0]
    longitude, latitude = row["computed_geometry"]["coordinates"]
    with viewer.page(chromium, {"at": "9/0/0"}) as page:
        page.page.locator("#filter-sequence").fill(row["sequence"])
        page.press("Enter")
        assert page.view()[1:] == pytest.approx((latitude, longitude), abs=0.01)
        page.page.locator("#filter-pano").select_option("0")
        page.settle()
        assert page.view()[1:] == pytest.approx((latitude, longitude), abs=0.01)


def test_a_month_and_a_range_of_months(viewer: Viewer, chromium: Browser) -> None:
    months = Counter(filter(None, map(month, viewer.rows)))
    with viewer.page(chromium) as page:
        bars = page.page.locator("#bars button:not(:disabled)")
        assert bars.count() == len(months) == 2
        bars.nth(0).click()
        page.settle()
        assert page.place()["month"] == "2024-05"
        assert page.said("#list-heading") == f"{months['2024-05']} images"
        bars.nth(0).click()
        page.settle()
        assert page.said("#list-heading") == "90 images"
        (x, y), (end, _) = (
            page.middle("#bars button >> nth=0"),
            page.middle("#bars button >> nth=1"),
        )
        page.page.mouse.move(x, y)
        page.page.mouse.down()
        page.page.mouse.move(end, y, steps=3)
        page.page.mouse.up()
        page.settle()
        assert page.place()["from"] == "2024-05-01"
        assert page.place()["to"] == "2024-06-30"
        assert page.said("#list-heading") == f"{sum(months.values())} images"
        bars.nth(0).focus()
        page.press("ArrowRight", "Enter")
        assert page.place()["month"] == "2024-06"


def test_all_of_it_by_keys_alone(viewer: Viewer, chromium: Browser) -> None:
    focused = "document.activeElement.id || document.activeElement.closest('[id]').id"
    outlined = "getComputedStyle(document.activeElement).outlineStyle"
    with viewer.page(chromium) as page:
        page.press("Tab")
        assert page.page.evaluate(focused) == "skip"
        page.press("Enter", "Tab")
        reached = page.page.evaluate(focused)
        while reached != "thumbnails":
            page.press("Tab")
            reached = page.page.evaluate(focused)
            assert page.page.evaluate(outlined) == "solid"
        page.press("ArrowRight", "ArrowDown", "Enter")
        number = int(page.place()["image"])
        assert page.page.evaluate(focused) == "image"
        page.press("ArrowRight")
        assert int(page.place()["image"]) > number
        page.press("Escape")
        assert "image" not in page.place()
        page.page.locator("#canvas").focus()
        page.press("+", "+", "+", "Enter")
        assert page.complaints == []


def test_the_list_is_in_pages_and_follows_the_map(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.rows[40]
    with viewer.page(chromium, {"at": at(row, 19)}) as page:
        assert page.said("#page-said") == "1 to 60 of 90"
        page.click("#page-on")
        assert page.said("#page-said") == "61 to 90 of 90"
        page.page.get_by_label("only on the map").check()
        page.settle()
        there = int(page.said("#list-heading").split()[0])
        assert 0 < there < 90
        page.click("#zoom-all")
        assert int(page.said("#list-heading").split()[0]) > there


def test_another_collection_and_what_it_lacks(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium) as page:
        assert page.page.locator("#problems-open").is_hidden()
        page.page.locator("#collections").select_option(DAMAGED)
        page.settle()
        assert page.place()["c"] == DAMAGED
        page.click("#problems-open")
        assert viewer.missing in page.said("#problems-list")
        page.press("Escape")
        assert page.page.locator("#problems").is_hidden()
        page.page.go_back()
        page.settle()
        assert page.place()["c"] == NAME


def test_a_collection_without_places_says_so(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium) as page:
        page.page.route(
            f"**/api/c/{NAME}",
            lambda route: route.fulfill(json={**route.fetch().json(), "placed": 0, "bbox": None}),
        )
        page.page.reload()
        page.settle()
        assert "No image of this collection has a place" in page.said("#map-note")


def test_a_server_that_is_gone_is_said_and_comes_back(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium) as page:
        page.page.context.set_offline(True)
        page.click("#zoom-in")
        page.page.locator("#lost").wait_for(state="visible")
        page.page.context.set_offline(False)
        page.page.locator("#lost").wait_for(state="hidden")


def test_without_the_cookie_nothing_is_shown(viewer: Viewer, chromium: Browser) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(viewer.address.split("?")[0])
        assert "with its token" in page.inner_text("body")
    finally:
        context.close()


def test_a_second_tab_is_a_viewer_of_its_own(viewer: Viewer, chromium: Browser) -> None:
    with viewer.page(chromium, {"image": 5}) as page:
        other = page.page.context.new_page()
        other.goto(f"{viewer.address.split('?')[0]}#c={NAME}&pano=1&image=50")
        other.wait_for_load_state("networkidle")
        assert other.locator("#image-when").inner_text()
        assert page.place()["image"] == "5"
        assert other.locator("#chips").inner_text()
        assert page.page.locator("#chips").is_hidden()
