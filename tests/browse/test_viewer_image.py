"""The viewer's open image, panoramas and downloads in a real browser; its looks and its names."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browse.viewing import DAMAGED, NAME, USER, Viewer, ViewerPage
from tests.browser import SIZES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("viewer")]

#: What would run, or turn the page around, if it were anything but text.
HOSTILE = "<img src=x onerror=alert(1)></script>\u202e\u2066" + "long" * 100_000


def changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Route], None]:
    """Return what answers as the server does, but for a change."""

    def answer(route: Route) -> None:
        route.fulfill(json=change(route.fetch().json()))

    return answer


def test_an_image_with_its_facts_and_neighbours(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=False)[10]
    with viewer.page(chromium, {"image": viewer.number(row)}) as page:
        assert page.page.evaluate("document.getElementById('picture').naturalWidth") == 1024
        facts = page.said("#facts")
        assert row["id"] in facts
        assert row["model"] in facts
        assert row["sequence"][:10] in facts
        assert page.said("#image-position") == "11 of 30"
        assert page.page.locator("#strip button").count() == 9
        page.click("#more summary")
        assert str(row["quality_score"]) in page.said("#metadata")
        page.click("#image-sequence")
        assert page.said("#list-heading") == "30 images"
        assert page.complaints == []


def test_arrow_keys_lead_along_the_sequence(viewer: Viewer, chromium: Browser) -> None:
    rows = viewer.of_sequence(panorama=False)
    numbers = [str(viewer.number(row)) for row in rows]
    with viewer.page(chromium, {"image": numbers[0]}) as page:
        assert page.page.locator("#image-previous").is_disabled()
        before = page.pixels("#canvas")
        page.press("ArrowRight", "ArrowRight")
        assert page.place()["image"] == numbers[2]
        assert page.pixels("#canvas") != before
        page.press("ArrowLeft")
        assert page.place()["image"] == numbers[1]
        page.page.locator("#strip button").nth(5).click()
        page.settle()
        assert page.place()["image"] == numbers[5]
        page.page.reload()
        page.settle()
        assert rows[5]["id"] in page.said("#facts")
        page.press("Escape")
        assert page.page.locator("#image").is_hidden()


def test_full_size_scrolls(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=False)[3]
    with viewer.page(chromium, {"image": viewer.number(row)}, width=360) as page:
        page.click("#image-size")
        flat = "document.getElementById('flat')"
        assert page.page.evaluate(f"{flat}.scrollWidth") == 1024
        page.press("ArrowRight", "ArrowRight")
        page.page.wait_for_function(f"{flat}.scrollLeft > 0")
        assert page.place()["image"] == str(viewer.number(row))


def test_a_panorama_turns_and_so_does_its_sight(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=True)[8]
    with viewer.page(chromium, {"image": viewer.number(row)}) as page:
        page.page.locator("#panorama-controls").wait_for(state="visible")
        page.settle()
        seen = [(page.pixels("#panorama"), page.pixels("#canvas"))]
        moves: list[Callable[[], None]] = [
            lambda: page.drag("#panorama", 120, 10),
            lambda: page.press("Shift+ArrowRight"),
            lambda: page.click("#panorama-controls [data-turn='-30']"),
        ]
        for move in moves:
            move()
            page.page.wait_for_timeout(500)
            seen.append((page.pixels("#panorama"), page.pixels("#canvas")))
            assert seen[-1][0] != seen[-2][0]
            assert seen[-1][1] != seen[-2][1]
        page.press("ArrowRight")
        page.page.locator("#panorama-controls").wait_for(state="visible")
        assert page.place()["image"] == str(viewer.number(row) + 1)
        assert page.complaints == []


def test_a_panorama_without_webgl_is_flat_and_says_so(viewer: Viewer, chromium: Browser) -> None:
    number = viewer.number(viewer.of_sequence(panorama=True)[8])
    with viewer.page(chromium, {"image": number}, width=360) as page:
        page.page.add_init_script(
            "const get = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
            "  return kind === '2d' ? get.call(this, kind, ...rest) : null; };"
        )
        page.page.reload()
        page.settle()
        assert "no WebGL" in page.said("#image-note")
        wide = "const flat = document.getElementById('flat'); flat.scrollWidth > flat.clientWidth"
        assert page.page.evaluate(wide)
        assert page.complaints == []


def test_an_image_is_downloaded_as_it_is_stored(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.rows[7]
    path, body = viewer.file(row)
    with (
        viewer.page(chromium, {"image": viewer.number(row)}) as page,
        page.page.expect_download() as downloading,
    ):
        page.page.locator("#image-file").click()
    assert downloading.value.suggested_filename == Path(path).name
    with viewer.page(chromium, {"image": viewer.number(row)}) as page:
        page.click("#download-open")
        with page.page.expect_download() as downloading:
            page.page.locator("#download-zip").click()
        assert Path(downloading.value.path()).read_bytes() == body


def test_selections_are_downloaded_as_zip(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=False)[3]
    day = viewer.file(row)[0].partition("/")[0]
    with viewer.page(chromium, {"image": viewer.number(row)}) as page:
        page.click("#download-open")
        page.page.get_by_label("The day").check()
        with page.page.expect_download() as downloading:
            page.page.locator("#download-zip").click()
        with zipfile.ZipFile(io.BytesIO(Path(downloading.value.path()).read_bytes())) as packed:
            found = sorted(packed.read(name) for name in packed.namelist())
        of_day = [body for path, body in viewer.files.items() if path.startswith(f"{day}/")]
        assert found == sorted(of_day)
        assert page.complaints == []


def test_what_is_on_the_map_is_saved_into_the_folder(viewer: Viewer, chromium: Browser) -> None:
    row = viewer.of_sequence(panorama=False)[3]
    longitude, latitude = row["computed_geometry"]["coordinates"]
    with viewer.page(chromium, {"at": f"20/{latitude}/{longitude}"}) as page:
        page.click("#download-open")
        page.page.get_by_label("What is on the map").check()
        page.click("#download-save")
        page.page.locator("#download-said", has_text="Saved").wait_for()
        saved = {path.name for path in viewer.saved.rglob("*.jpg")}
        assert any(name.endswith(f"_{row['id']}.jpg") for name in saved)
        assert 0 < len(saved) < 90
        assert f"{len(saved)} image" in page.said("#download-said")


def test_what_is_not_there_is_said_by_name(viewer: Viewer, chromium: Browser) -> None:
    day = viewer.missing.removesuffix(".tar")[-10:]
    path = next(path for path in viewer.files if path.startswith(day))
    row = next(row for row in viewer.rows if row["id"] == Path(path).stem)
    with viewer.page(chromium, {"c": DAMAGED, "image": viewer.number(row)}) as page:
        assert path in page.said("#image-note")
        assert row["id"] in page.said("#facts")
        page.press("ArrowRight")
        assert page.place()["image"] == str(viewer.number(row) + 1)
    with viewer.page(chromium, {"image": 4_000_000}) as page:
        assert page.said("#image-note")
        assert page.said("#list-heading") == "90 images"


def test_archive_org_is_asked_once_and_only_if_agreed(viewer: Viewer, chromium: Browser) -> None:
    """The server itself asks again (tests of its own): here is what the page asks for."""
    removed = changed(lambda image: {**image, "where": "removed"})
    for answer, asks in (("no", 0), ("yes", 1)):
        with viewer.page(chromium) as page:
            page.page.route(f"**/api/c/{NAME}/image/*", removed)
            page.page.locator("#thumbnails button").nth(2).click()
            page.settle()
            page.click(f"#agreement button[value='{answer}']")
            assert page.page.locator("#agreement").is_hidden()
            page.press("ArrowRight")
            assert page.page.locator("#agreement").is_hidden()
            asked, number = page.visit.requests, page.place()["image"]
            assert sum(each.endswith("/api/action") for each in asked) == asks
            assert any(each.endswith(f"/image/c/{NAME}/{number}") for each in asked) == bool(asks)


def test_what_is_on_archive_org_alone_is_said_beside_the_list(
    viewer: Viewer, chromium: Browser
) -> None:
    """Before any image is opened; pictures of the list come once somebody agrees, also later."""
    about = changed(lambda told: {**told, "removed_parts": 3, "remote_item": "an-item"})
    with viewer.page(chromium) as page:
        assert page.page.locator("#removed").is_hidden()
        page.page.route(f"**/api/c/{NAME}", about)
        page.page.reload()
        page.settle()
        assert page.said("#removed-said").startswith(
            "3 parts of this collection are on archive.org"
        )
        for answer in ("no", "yes"):
            listed = count_of(page, f"/api/c/{NAME}/list")
            page.click("#removed-fetch")
            page.click(f"#agreement button[value='{answer}']")
            assert page.page.locator("#removed").is_visible() == (answer == "no")
            assert count_of(page, f"/api/c/{NAME}/list") == listed + (answer == "yes")
        assert not page.visit.unnamed_controls()


def count_of(page: ViewerPage, path: str) -> int:
    return sum(path in each for each in page.visit.requests)


def test_a_collection_of_unknown_size_is_not_called_empty(
    viewer: Viewer, chromium: Browser
) -> None:
    """One without a ledger that nobody has opened yet."""

    def unknown(told: dict[str, Any]) -> dict[str, Any]:
        return {**told, "collections": [each | {"images": None} for each in told["collections"]]}

    with viewer.page(chromium) as page:
        page.page.route("**/api/collections", changed(unknown))
        page.page.reload()
        page.settle()
        assert page.said("#collections").split() == [NAME, DAMAGED]


def test_hostile_text_is_text(viewer: Viewer, chromium: Browser) -> None:
    fields = ("id", "camera", "sequence", "file", "day")
    image = dict.fromkeys(fields, HOSTILE) | {"metadata": {HOSTILE: {HOSTILE: HOSTILE}}}
    about = {"cameras": [[HOSTILE, 3]], "problems": [HOSTILE], "months": [[HOSTILE, 3]]}
    with viewer.page(chromium, {"image": 3, "camera": HOSTILE[:600]}, width=360) as page:
        page.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.page.route(f"**/api/c/{NAME}/image/*", changed(lambda found: found | image))
        page.page.route(f"**/api/c/{NAME}", changed(lambda found: found | about))
        page.page.reload()
        page.settle()
        page.click("#more summary")
        page.click("#problems-open")
        assert HOSTILE[:60] in page.said("#problems-list")
        assert page.page.locator("img[src=x]").count() == 0
        assert len(page.page.inner_text("body")) < 20_000
        assert not page.visit.scrolls_sideways()
        assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", SIZES)
def test_every_control_has_a_name_and_fits(
    viewer: Viewer, chromium: Browser, width: int, dark: bool
) -> None:
    panorama = viewer.number(viewer.of_sequence(panorama=True)[8])

    def look(page: ViewerPage) -> None:
        assert page.visit.unnamed_controls() == []
        assert not page.visit.scrolls_sideways()
        assert not too_faint(page)

    with viewer.page(chromium, {"pano": 1}, width=width, dark=dark) as page:
        look(page)
        for opens in ("#download-open", "#keys-open"):
            if page.page.locator(opens).is_visible():
                page.click(opens)
                look(page)
                page.press("Escape")
        page.page.evaluate(f"location.hash += '&image={panorama}'")
        page.settle()
        look(page)
        if page.page.locator("#side-toggle").is_visible():
            page.click("#side-toggle")
            look(page)
        ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
        assert page.complaints == []


def too_faint(page: ViewerPage) -> list[str]:
    """Return texts whose contrast to what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""
    found: list[str] = page.page.evaluate(
        """() => {
        const light = (text) => {
            const parts = text.match(/[\\d.]+/g).map(Number);
            const [r, g, b] = parts.map((part) => {
                const share = part / 255;
                return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const solid = (node) => {
            for (let at = node; at; at = at.parentElement) {
                const colour = getComputedStyle(at).backgroundColor;
                if (getComputedStyle(at).backgroundImage !== "none") return null;
                if (!/, 0\\)$/.test(colour)) return colour;
            }
            return "rgb(255, 255, 255)";
        };
        return [...document.querySelectorAll("body *")].filter((node) => {
            const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
            if (!own || !node.checkVisibility() || node.closest(":disabled")) return false;
            const ground = solid(node);
            if (ground === null) return false;
            const [one, other] = [light(getComputedStyle(node).color), light(ground)];
            return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
        }).map((node) => node.outerHTML.slice(0, 120));
    }"""
    )
    return found


def test_the_user_of_these_tests_has_panoramas_and_undated_images(viewer: Viewer) -> None:
    assert len(viewer.rows) == USER["images"]
    assert {row["is_pano"] for row in viewer.rows} == {False, True}
    assert any("captured_at" not in row for row in viewer.rows)
