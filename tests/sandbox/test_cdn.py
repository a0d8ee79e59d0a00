import re
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapillary_crawler.sandbox.catalogue import Catalogue
from mapillary_crawler.sandbox.cdn import Cdn
from mapillary_crawler.sandbox.photographs import WIDTHS

ORIGIN = "http://127.0.0.1:54321"
EXPIRES = 2_000_000_000
catalogue = Catalogue([{"username": "alice", "images": 1000, "panoramas": 0.3, "hostile": 40}])
cdn = Cdn(catalogue)
alice = catalogue.user("alice")
images = st.integers(0, 999).map(alice.image)
qualities = st.sampled_from(list(WIDTHS))

#: As in the samples of the Graph API reference, "Image URLs".
SHAPE = re.compile(
    r"/m1/v/t6/An[\w-]{130,180}"
    r"\?(stp=s\d+x\d+&)?edm=AOnQwmMEAAAA&_nc_gid=[\w-]{22}&_nc_oc=[\w-]{20,}&ccb=10-5"
    r"&oh=00_Af[\w-]{32}&oe=77359400&_nc_sid=201bca"
)


def target(url: str) -> str:
    return url.removeprefix(ORIGIN)


@given(images, qualities)
def test_urls_have_the_shape_and_length_of_the_real_ones(image, quality) -> None:
    url = cdn.url(image, quality, ORIGIN, EXPIRES)
    found = SHAPE.fullmatch(target(url))
    assert found
    assert 428 <= len(url) <= 444
    width, height = image.photograph.size(quality)
    assert found[1] == (None if quality == "original" else f"stp=s{width}x{height}&")


@given(images)
def test_the_four_sizes_differ_in_stp_and_oh_alone(image) -> None:
    urls = [cdn.url(image, quality, ORIGIN, EXPIRES) for quality in WIDTHS]
    assert len(set(urls)) == 4
    assert len({re.sub(r"stp=\w+&|oh=[\w-]+&", "", url) for url in urls}) == 1


@settings(deadline=None)  # the first of each kind is made
@given(images, qualities)
def test_a_url_serves_its_own_image(image, quality) -> None:
    claim = cdn.claim(target(cdn.url(image, quality, ORIGIN, EXPIRES)))
    assert claim is not None
    assert (claim.image.index, claim.quality, claim.expires) == (image.index, quality, EXPIRES)
    if quality in {"256", "1024"}:
        answer = cdn.answer(claim)
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
        assert answer.body == catalogue.body(image, quality)


@given(images, qualities, st.data())
def test_any_changed_character_is_a_bad_hash(image, quality, data) -> None:
    url = target(cdn.url(image, quality, ORIGIN, EXPIRES))
    at = data.draw(st.integers(0, len(url) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = url[:at] + character + url[at + 1 :]
    assert (cdn.claim(changed) is None) == (changed != url)
    assert cdn.claim(url[:at] + character + url[at:]) is None
    assert cdn.claim(url[:at] + url[at + 1 :]) is None


def test_what_http_libraries_do_to_queries_is_a_bad_hash() -> None:
    url = target(cdn.url(alice.image(0), "1024", ORIGIN, EXPIRES))
    path, _, query = url.partition("?")
    pairs = query.split("&")
    for changed in (
        path,
        path + "?",
        url + "&",
        url + "&a=1",
        path + "?" + "&".join(sorted(pairs)),
    ):
        answer = cdn.answer(cdn.claim(changed))
        assert (answer.status, answer.body) == (403, b"Bad URL hash")
        assert answer.content_type == "text/plain"


def test_a_url_dies_at_its_oe() -> None:
    now = int(time.time())
    for expires, status in ((now + 100, 200), (now - 1, 403)):
        url = cdn.url(alice.image(0), "256", ORIGIN, expires)
        assert f"&oe={expires:08X}&" in url
        answer = cdn.answer(cdn.claim(target(url)))
        assert answer.status == status
        if status == 403:
            assert answer.body == b"URL signature expired"


def test_another_seed_signs_otherwise() -> None:
    other = Cdn(Catalogue([{"username": "alice", "images": 1000}], seed=2))
    assert other.claim(target(cdn.url(alice.image(0), "256", ORIGIN, EXPIRES))) is None


@pytest.mark.parametrize("text", ["", "/m1/v/t6/", "/m1/v/t6/An", "/m1/v/t6/An?&oh=&oe=&", "/é?%"])
def test_nonsense_is_refused(text: str) -> None:
    assert cdn.claim(text) is None


def test_the_path_is_the_same_for_ever() -> None:
    paths = {urlsplit(cdn.url(alice.image(5), "256", ORIGIN, each)).path for each in (1, 2, 3)}
    assert len(paths) == 1
