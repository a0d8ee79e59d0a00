"""The viewer's server on real collections, asked over real connections, by friends and others."""

from __future__ import annotations

import io
import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from PIL import Image

from mapillary_crawler.collection.layout import JOURNAL, LEDGER_PATH
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import PieceState, State
from tests.archive.browse.serving import PAGE, Browser, browsing
from tests.archive.finish.made import NOON, Picture, jpeg
from tests.commands.in_process import NAME, made, tree
from tests.range_server import downloads

API, IMAGE = f"/api/c/{NAME}", f"/image/c/{NAME}"
BIG = jpeg(640, 480)
PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
SOME = [
    Picture("11", NOON, "a_uX-1", BIG),
    Picture("12", NOON + 1000, "a_uX-1", b"<html><script>alert(1)</script>"),
    Picture("13", NOON + 2000, None, b"GIF89a<script>", extension="png"),
    Picture("21", NOON + 86_400_000, "b", BIG[:-900], State.DAMAGED),
    Picture("31", None, "b", PNG),
]
#: By number, as they are stored.
BODIES = dict(enumerate((picture.body for picture in SOME), 1))
FIRST = "2024-01-15.tar"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("made") / "store", pictures=SOME)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def browser(folder: Path, place: Path) -> Iterator[Browser]:
    before = tree(folder)
    with browsing([folder], place, to=place / "to") as browser:
        yield browser
    assert tree(folder) == before


def test_the_address_opens_the_page_once_and_the_cookie_from_then_on(browser: Browser) -> None:
    answer = browser.ask(f"/?token={browser.token}", headers={"Cookie": ""})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"mapillary_viewer_{browser.port}={browser.token};")
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
    assert browser.ask("/").body == PAGE
    second_tab = browser.ask(f"/?token={browser.token}")
    assert second_tab.status == 303
    assert browser.ask("/api/session").json == {"token": browser.token}


@pytest.mark.parametrize(
    "path", ["/", "/static/viewer.html", "/api/session", API, f"{IMAGE}/1", f"/zip/c/{NAME}", "/no"]
)
def test_strangers_get_nothing(browser: Browser, path: str) -> None:
    right = f"127.0.0.1:{browser.port}"
    for headers in (
        {"Cookie": ""},
        {"Cookie": f"mapillary_viewer_{browser.port}=wrong"},
        {"Host": f"rebound.example:{browser.port}"},
        {"Host": "127.0.0.1.evil.example", "Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{browser.port + 1}"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = browser.ask(path, headers=headers)
        assert answer.status == 403, headers
        assert set(answer.json) == {"error"}
        assert browser.token not in str(answer)
    assert browser.ask(path, headers={"Host": right}).status != 403
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert browser.ask(path, method).status == 405


def test_every_answer_has_the_headers(browser: Browser) -> None:
    for path in ("/", "/no", API, f"{IMAGE}/1", f"/zip/c/{NAME}", f"{IMAGE}/2"):
        for headers in ({}, {"Cookie": ""}):
            found = browser.ask(path, headers=headers).headers
            assert found["X-Content-Type-Options"] == "nosniff"
            assert found["Referrer-Policy"] == "no-referrer"
            assert found["Content-Security-Policy"].startswith("default-src 'self';")
            assert not {"Access-Control-Allow-Origin", "Set-Cookie"} & set(found)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py",
        "/static//etc/passwd", "/static/%2Fetc%2Fpasswd", "/static/viewer.html%00", "/static/",
        "/api/c/..", "/api/c/%2e%2e%2f", f"/api/c/..%2f{NAME}", f"{IMAGE}/1/../../x", f"{IMAGE}/-1",
        f"{IMAGE}/1%2f..", f"{IMAGE}/99999999999999999999", f"{API}/image/0", "/image/c/x/1",
        f"{API}/nothing", "/api/c/%ff",
    ],
)  # fmt: skip
def test_no_path_leads_anywhere(browser: Browser, path: str) -> None:
    answer = browser.ask(path)
    assert answer.status == 404
    assert answer.json["error"]


def test_bad_questions_are_answered_in_words(browser: Browser) -> None:
    for query in ("list?day=x", "list?limit=x", "tracks?bbox=1", "images?pano=2", "list?month=1"):
        answer = browser.ask(f"{API}/{query}")
        assert answer.status == 400
        assert answer.json["error"]
    assert browser.ask(f"{IMAGE}/1?width=x").status == 400
    assert browser.ask(f"/zip/c/{NAME}?number=x").status == 400


def test_a_collection_and_its_images(browser: Browser) -> None:
    (listed,) = browser.ask("/api/collections").json["collections"]
    assert (listed["name"], listed["username"], listed["problems"]) == (NAME, "ann", [])
    found = browser.ask(API).json
    counts = ("saved", "gone", "failed", "undated", "placed", "removed_parts", "remote_item")
    assert [found[name] for name in counts] == [5, 0, 0, 1, 5, 0, None]
    assert (found["quality"], found["bbox"]) == ("original", [13.4, 52.5, 13.4, 52.5])
    assert found["months"] == [["2024-01", 4]]
    days = browser.ask(f"{API}/days").json["days"]
    assert days == [["2024-01-15", 3, 1], ["2024-01-16", 1, 4], ["unknown-date", 1, 5]]
    for query, numbers in {
        "": [1, 2, 3, 4, 5], "offset=1&limit=2": [2, 3], "day=2024-01-15": [1, 2, 3],
        "day=unknown-date": [5], "from=2024-01-16": [4], "month=2024-01&sequence=b": [4],
        "sequence=": [3], "sequence=a_uX-1": [1, 2], "bbox=13,52,14,53": [1, 2, 3, 4, 5],
        "bbox=0,0,1,1": [], "camera=none": [], "pano=0": [1, 2, 3, 4, 5], "pano=1": [],
    }.items():  # fmt: skip
        answer = browser.ask(f"{API}/list?{query}").json
        assert [image[0] for image in answer["images"]] == numbers, query
    near = browser.ask(f"{API}/images?bbox=13,52,14,53&zoom=17").json
    assert near["images"][0] == [1, 13.4, 52.5, None, 0]
    assert not near["truncated"]
    tracks = browser.ask(f"{API}/tracks?bbox=13,52,14,53&zoom=17").json["tracks"]
    assert {track["sequence"] for track in tracks} <= {"a_uX-1", "b", ""}
    image = browser.ask(f"{API}/image/2").json
    assert image["metadata"]["id"] == image["id"] == "12"
    names = ("file", "day", "previous", "next", "where", "position", "type", "bytes")
    assert [image[name] for name in names] == [
        "2024-01-15/a_u5f_uX-1/12.jpg", "2024-01-15", 1, None, "here", [2, 2], "image/jpeg", 31,
    ]  # fmt: skip


def test_images_are_what_their_bytes_are(browser: Browser) -> None:
    answer = browser.ask(f"{IMAGE}/1")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", BIG)
    for number, kind in ((3, "image/gif"), (4, "image/jpeg"), (5, "image/png")):
        answer = browser.ask(f"{IMAGE}/{number}")
        assert (answer.headers["Content-Type"], answer.body) == (kind, BODIES[number])
    for what in ("", "?width=100", "/file"):
        page = browser.ask(f"{IMAGE}/2{what}")  # a page of HTML by the name of a JPEG
        assert (page.status, page.json) == (404, {"error": "it is no image"})
    file = browser.ask(f"{IMAGE}/1/file")
    assert file.body == BIG
    assert file.headers["Content-Disposition"].startswith('attachment; filename="11.jpg"')


def test_images_are_reduced(browser: Browser) -> None:
    for width, size in ((100, (100, 75)), (5_000, (512, 384))):
        answer = browser.ask(f"{IMAGE}/1?width={width}")
        with Image.open(io.BytesIO(answer.body)) as picture:
            assert picture.size == size
    assert browser.ask(f"{IMAGE}/4?width=100").body == BODIES[4]  # damaged, as it was served
    assert browser.ask(f"{IMAGE}/1", "HEAD").body == b""


def test_a_picture_that_would_cost_too_much_is_not_decoded(tmp_path: Path) -> None:
    at = BIG.index(b"\xff\xc0") + 5
    huge = BIG[:at] + b"\xff\xff\xff\xff" + BIG[at + 4 :]
    folder = made(tmp_path / "store", pictures=[Picture("1", NOON, "s", huge)])
    with browsing([folder], tmp_path) as browser:
        answer = browser.ask(f"{IMAGE}/1?width=100")
        assert answer.status == 404
        assert "absurd dimensions" in answer.json["error"]


def test_what_the_browser_has_is_not_sent_again_and_ranges_are_not_known(browser: Browser) -> None:
    tag = browser.ask(f"{IMAGE}/1").headers["ETag"]
    again = browser.ask(f"{IMAGE}/1", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert browser.ask(f"{IMAGE}/1?width=100").headers["ETag"] != tag
    for span in ("bytes=0-9", "bytes=-1", "bytes=99999999-", "bytes=9-1,3-4", "x"):
        answer = browser.ask(f"{IMAGE}/1", headers={"Range": span})
        assert (answer.status, answer.body) == (200, BIG)


def test_a_jpeg_xl_is_shown_as_its_jpeg_and_kept_as_it_is(tmp_path: Path) -> None:
    pylibjxl: Any = pytest.importorskip("pylibjxl")
    with pylibjxl.JXL(threads=1, pool_size=1) as codec:
        packed = codec.jpeg_to_jxl(BIG)
    some = [
        Picture("1", NOON, "s", packed, extension="jxl"),
        Picture("2", NOON + 1, "s", packed[:-99], extension="jxl"),
    ]
    with browsing([made(tmp_path / "store", pictures=some)], tmp_path) as browser:
        assert browser.ask(f"{API}/image/1").json["type"] == "image/jpeg"
        answer = browser.ask(f"{IMAGE}/1")
        assert (answer.headers["Content-Type"], answer.body) == ("image/jpeg", BIG)
        with Image.open(io.BytesIO(browser.ask(f"{IMAGE}/1?width=64").body)) as picture:
            assert picture.size == (64, 48)
        file = browser.ask(f"{IMAGE}/1/file")
        assert (file.headers["Content-Type"], file.body) == ("image/jxl", packed)
        assert "gives back no JPEG" in browser.ask(f"{IMAGE}/2").json["error"]


def test_zips(browser: Browser) -> None:
    for query, numbers in (
        ("", [1, 2, 3, 4, 5]), ("?day=2024-01-15", [1, 2, 3]), ("?number=1&number=4", [1, 4]),
        ("?bbox=0,0,1,1", []), ("?number=77", []),
    ):  # fmt: skip
        answer = browser.ask(f"/zip/c/{NAME}{query}")
        assert answer.headers["Content-Type"] == "application/zip"
        assert f'filename="{NAME}.zip"' in answer.headers["Content-Disposition"]
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            assert archive.testzip() is None
            found = {name: archive.read(name) for name in archive.namelist()}
        assert sorted(found.values()) == sorted(BODIES[number] for number in numbers)
        assert set(found) <= {SOME[number - 1].path for number in numbers}
    assert browser.ask(f"/zip/c/{NAME}", "HEAD").status == 200


def test_a_zip_ends_when_the_browser_goes(tmp_path: Path) -> None:
    some = [Picture(str(number), NOON, "s", bytes(2_000_000)) for number in range(1, 60)]
    folder = made(tmp_path / "store", pictures=some)
    with browsing([folder], tmp_path) as browser:
        cookie = browser.own["Cookie"]
        with socket.create_connection(("127.0.0.1", browser.port)) as connection:
            request = f"GET /zip/c/{NAME} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
            connection.sendall(request.encode())
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
        # Twice as many as there are threads: none of them waits for a browser that is gone.
        for _ in range(16):
            with socket.create_connection(("127.0.0.1", browser.port)) as connection:
                connection.sendall(request.encode())
                connection.recv(20)
        assert browser.ask(API).status == 200


def test_saving_goes_into_the_folder_that_was_given(browser: Browser, place: Path) -> None:
    answer = browser.act(action="save", collection=NAME, selection={"day": "2024-01-15"})
    assert (answer.status, answer.json["saved"]) == (200, 3), answer.body
    assert tree(place / "to" / NAME) == {
        "20240115-120002_13.png": BODIES[3],
        "a_uX-1/20240115-120000_11.jpg": BIG,
        "a_uX-1/20240115-120001_12.jpg": BODIES[2],
    }
    again = browser.act(action="save", collection=NAME, selection={"numbers": [1, 5]})
    assert again.json["saved"] == 2
    for bad in (
        {"selection": None},
        {"selection": {"numbers": "x"}},
        {},
        {"selection": {"day": 5}},
    ):
        assert browser.act(action="save", collection=NAME, **bad).status == 400
    assert browser.act(action="save", collection="../x", selection={}).status == 404
    assert browser.act(action="delete", collection=NAME).status == 400
    for body in (b"", b"no JSON", b"[]", b"[" * 10_000):
        answer = browser.ask("/api/action", "POST", body, {"X-Token": browser.token})
        assert answer.status in (400, 404)
    large = b"x" * (3 << 20)
    assert browser.ask("/api/action", "POST", large, {"X-Token": browser.token}).status == 413


def test_the_post_needs_the_header_and_the_own_origin(browser: Browser) -> None:
    body = {"action": "remote", "collection": NAME, "agree": True}
    for headers in (
        {},
        {"X-Token": "wrong"},
        {"X-Token": browser.token, "Origin": "null"},
        {"X-Token": browser.token, "Origin": "http://evil.example"},
        {"X-Token": browser.token, "Cookie": ""},
    ):
        assert browser.ask("/api/action", "POST", body, headers).status == 403


def test_without_a_folder_nothing_is_saved(folder: Path, tmp_path: Path) -> None:
    with browsing([folder], tmp_path) as browser:
        assert browser.ask("/api/collections").json["to"] is None
        answer = browser.act(action="save", collection=NAME, selection={})
        assert answer.status == 409
        assert "--to FOLDER" in answer.json["error"]


def copied(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "store" / NAME)


def test_a_cut_tar_a_missing_one_and_a_changed_image_are_named(
    folder: Path, tmp_path: Path
) -> None:
    folder = copied(folder, tmp_path)
    tar = folder / FIRST
    body = bytearray(tar.read_bytes())
    place = body.index(BIG)
    body[place + 700] ^= 1
    tar.write_bytes(body[: body.index(b"<html>")])
    (folder / "2024-01-16.tar").unlink()
    (folder / "unknown-date.tar").unlink()
    (folder / "unknown-date.tar").symlink_to("/etc/passwd")
    with browsing([folder], tmp_path) as browser:
        problems = "\n".join(browser.ask(API).json["problems"])
        assert f"{FIRST} is cut off at" in problems
        assert "2024-01-16.tar is missing, and with it 1 image" in problems
        assert "unknown-date.tar is a link, which is not followed" in problems
        for number, words in {
            1: "its bytes are not those that were stored", 2: "the tar is cut off",
            4: "2024-01-16.tar is not there", 5: "is a link, which is not followed",
        }.items():  # fmt: skip
            answer = browser.ask(f"{IMAGE}/{number}")
            assert answer.status == 404
            assert words in answer.json["error"]
        where = [browser.ask(f"{API}/image/{number}").json["where"] for number in (1, 2, 3, 4, 5)]
        assert where == ["here", "missing", "here", "missing", "missing"]
        with zipfile.ZipFile(io.BytesIO(browser.ask(f"/zip/c/{NAME}").body)) as archive:
            assert len(archive.read("missing.txt").splitlines()) == 4
            assert len(archive.namelist()) == 2


@pytest.mark.parametrize("agrees", [False, True])
@pytest.mark.parametrize("has_ledger", [True, False])
def test_removed_parts_come_from_archive_org_when_somebody_agrees(
    folder: Path, tmp_path: Path, has_ledger: bool, agrees: bool
) -> None:
    folder = copied(folder, tmp_path)
    body = (folder / FIRST).read_bytes()
    (folder / FIRST).unlink()
    item = "the-item" if has_ledger else NAME
    if has_ledger:
        with closing(Ledger(folder / LEDGER_PATH)) as ledger:
            ledger.pieces.set_state(FIRST, PieceState.REMOVED, item)
    else:
        shutil.rmtree(folder / ".crawl")
    with downloads() as served, browsing([folder], tmp_path, archive=served.url) as browser:
        served.files[f"{item}/{FIRST}"] = body
        about = browser.ask(API).json
        assert (about["removed_parts"], about["remote_item"]) == (1, item)
        missing = f"{FIRST} is not here, and with it 3 images"  # nothing says that it was meant
        assert (missing in about["problems"]) is not has_ledger
        assert browser.ask(f"{API}/image/1").json["where"] == "removed"
        answer = browser.ask(f"{IMAGE}/1")
        assert (answer.status, answer.json) == (409, {"error": "removed", "item": item})
        assert browser.act(action="remote", collection=NAME, agree=agrees).status == 200
        if not agrees:
            assert browser.ask(f"{IMAGE}/1?width=9").status == 409
            assert served.asked == []
            return
        assert browser.ask(f"{IMAGE}/1").body == BIG
        assert browser.ask(f"{IMAGE}/1?width=99").status == 200
        assert len(served.asked) == 1  # one range, and it is kept
        served.files[f"{item}/{FIRST}"] = bytes(len(body))
        answer = browser.ask(f"{IMAGE}/3")
        assert answer.status == 404
        assert "not those that were stored" in answer.json["error"]
        served.files.clear()
        assert "no such file" in browser.ask(f"{IMAGE}/2").json["error"]
        assert browser.ask(f"{IMAGE}/4").body == BODIES[4]  # which is here


def test_archive_org_away_is_said_and_asked_again(folder: Path, tmp_path: Path) -> None:
    folder = copied(folder, tmp_path)
    body = (folder / FIRST).read_bytes()
    (folder / FIRST).unlink()
    with closing(Ledger(folder / LEDGER_PATH)) as ledger:
        ledger.pieces.set_state(FIRST, PieceState.REMOVED, "the-item")
    with (
        downloads() as served,
        browsing([folder], tmp_path, to=tmp_path / "to", archive=served.url) as browser,
    ):
        browser.act(action="remote", collection=NAME, agree=True)
        assert browser.act(action="save", collection=NAME, selection={"numbers": [2]}).json == {
            "saved": 0, "missing": 1, "folder": str(tmp_path / "to" / NAME),
            "problems": [ANY],
        }  # fmt: skip
        served.statuses = [503]
        assert "stayed unavailable" in browser.ask(f"{IMAGE}/1").json["error"]
        served.files[f"the-item/{FIRST}"] = body
        assert browser.ask(f"{IMAGE}/1").body == BIG
        found = browser.act(action="save", collection=NAME, selection={"numbers": [1, 2]}).json
        assert (found["saved"], found["problems"]) == (2, [])


@pytest.mark.parametrize("tar", [True, False])
def test_collections_without_a_ledger_or_without_tars(tmp_path: Path, tar: bool) -> None:
    folder = made(tmp_path / "store", pictures=SOME, tar=tar)
    shutil.rmtree(folder / ".crawl")
    before = tree(folder)
    with browsing([folder], tmp_path) as browser:
        (listed,) = browser.ask("/api/collections").json["collections"]
        assert listed["images"] is None  # nothing has read its manifests yet
        about = browser.ask(API).json
        assert about["saved"] == 5
        assert any("no ledger" in problem for problem in about["problems"])
        assert browser.ask("/api/collections").json["collections"][0]["images"] == 5
        assert browser.ask(f"{IMAGE}/1").body == BIG
        assert browser.ask(f"{API}/image/1").json["where"] == "here"
    assert tree(folder) == before


def test_an_update_that_is_half_done_is_said(folder: Path, tmp_path: Path) -> None:
    folder = copied(folder, tmp_path)
    (folder / JOURNAL).write_bytes(b"")
    with browsing([folder], tmp_path) as browser:
        (problem,) = browser.ask(API).json["problems"]
        assert "an update is half done; finish it with:" in problem
        assert browser.ask(f"{IMAGE}/1").body == BIG


def test_a_collection_that_changes_meanwhile_is_read_anew(folder: Path, tmp_path: Path) -> None:
    folder = copied(folder, tmp_path)
    with browsing([folder], tmp_path) as browser:
        assert browser.ask(API).json["removed_parts"] == 0
        with closing(Ledger(folder / LEDGER_PATH)) as ledger:
            ledger.pieces.set_state(FIRST, PieceState.REMOVED, "x")
        (folder / FIRST).unlink()
        assert browser.ask(API).json["remote_item"] == "x"


def test_an_index_that_is_damaged_is_made_anew(folder: Path, tmp_path: Path) -> None:
    with browsing([folder], tmp_path) as browser:
        assert browser.ask(API).status == 200
    (index,) = (tmp_path / "cache").iterdir()
    content = index.read_bytes()
    at = content.index(b"2024-01-15.tar") // 4096 * 4096
    index.write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])
    with browsing([folder], tmp_path) as browser:
        assert browser.ask(API).status == 500
        assert browser.ask(API).status == 200
        assert browser.ask(f"{IMAGE}/1").body == BIG


def test_one_that_cannot_be_read_does_not_hide_the_others(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "store" / "mapillary-bad\x1b-256"
    (bad / ".crawl").mkdir(parents=True)
    (bad / LEDGER_PATH).write_bytes(b"no ledger" * 999)
    empty = tmp_path / "store" / "mapillary-\udcff-1024"
    empty.mkdir()
    with browsing([bad, empty, folder], tmp_path) as browser:
        found = {each["name"]: each for each in browser.ask("/api/collections").json["collections"]}
        assert found[NAME]["images"] == 5
        assert "cannot be read" in found["mapillary-bad\x1b-256"]["problems"][0]
        assert browser.ask("/api/c/mapillary-bad%1b-256").status == 500
        answer = browser.ask("/api/c/mapillary-%EF%BF%BD-1024")
        assert answer.status == 500
        assert "neither a ledger nor" in answer.json["error"]
        assert browser.ask(API).status == 200


def test_the_server_ends_at_once_though_a_browser_still_listens(
    folder: Path, tmp_path: Path
) -> None:
    with browsing([folder], tmp_path) as browser:
        idle = socket.create_connection(("127.0.0.1", browser.port))
        idle.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.05)
    with closing(idle), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", browser.port)).close()
