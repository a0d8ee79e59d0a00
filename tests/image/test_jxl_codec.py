"""The workers of JPEG XL: one that lies, crashes, hangs or wants all memory costs one image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from mapillary_crawler.collection.outcome import Refused
from mapillary_crawler.image import jxl, jxl_codec
from mapillary_crawler.image.encoders import EncodeInterrupted, Encoder
from mapillary_crawler.image.jxl import JxlError
from mapillary_crawler.image.jxl_codec import Codec, Decoder, TooSlow, installed_encoder
from tests.crawling import wait_until
from tests.image.jxl_codecs import (
    KINDS,
    bits,
    box,
    is_running,
    needs_pylibjxl,
    programs,
    reason_of,
)

PYLIBJXL = Encoder("pylibjxl", "any")
PIXELS = 64 * 48
#: A worker as it is, but for what the images called BAD leave in its library.
POISONED = """
import os, sys, time
from mapillary_crawler.image import jxl_worker as worker
class Poisoned(worker._Library):
    bad = False
    def encode(self, jpeg, effort):
        open({folder!r} + f"/worker.{{os.getpid()}}", "a").write("x")
        if b"BAD" in jpeg:
            Poisoned.bad = True
        if Poisoned.bad:
            {poison}
        return super().encode(jpeg, effort)
    def decode(self, jxl):
        if Poisoned.bad:
            {poison}
        return super().decode(jxl)
worker._Library = Poisoned
worker.main("pylibjxl")
"""
POISONS = {
    "crash": "os.kill(os.getpid(), 11)",
    "exit": "os._exit(3)",
    "nonsense": "return b'nonsense'",
    "refusal": "raise worker.Failed('poisoned')",
    "no answer": "os.write(3, b'?' * 64); time.sleep(60)",
    "memory": "bytearray(1 << 36)",
    "another picture": "return super().encode({other!r}, 3)",
}


def photo(shade: int = 0, *, comment: bytes = b"", size: tuple[int, int] = (64, 48)) -> bytes:
    packed = BytesIO()
    picture = Image.linear_gradient("L").resize(size).point(lambda value: (value + shade) % 256)
    picture.convert("RGB").save(packed, "JPEG", comment=comment)
    return packed.getvalue()


def poisoned(folder: Path, monkeypatch: pytest.MonkeyPatch, poison: str) -> None:
    script = folder / "poisoned.py"
    poison = poison.format(other=photo(99))
    script.write_text(POISONED.format(folder=str(folder), poison=poison))
    monkeypatch.setattr(Codec, "_command", lambda codec: [sys.executable, str(script)])


def workers(folder: Path) -> int:
    return len(list(folder.glob("worker.*")))


@needs_pylibjxl
@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_what_one_image_leaves_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    poisoned(tmp_path, monkeypatch, poison)
    bodies = [photo(1), photo(2, comment=b"BAD"), photo(3), photo(4)]
    with Codec(PYLIBJXL) as codec:
        good = [codec.encode(bodies[0], effort=3, pixels=PIXELS)]
        with pytest.raises(JxlError) as caught:
            codec.encode(bodies[1], effort=3, pixels=PIXELS)
        assert reason_of(caught) in ("encoder-failed", "broken-output", "not-identical")
        good += [codec.encode(body, effort=3, pixels=PIXELS) for body in bodies[2:]]
        monkeypatch.undo()
    with Codec(PYLIBJXL) as codec:
        assert good == [codec.encode(bodies[n], effort=3, pixels=PIXELS) for n in (0, 2, 3)]
    # The one that was there, a second for the bad one, a third for all that follow.
    assert workers(tmp_path) == 3


@needs_pylibjxl
def test_an_image_that_is_refused_costs_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(tmp_path, monkeypatch, "pass")
    with Codec(PYLIBJXL) as codec:
        for _ in range(3):
            codec.encode(photo(), effort=3, pixels=PIXELS)
            with pytest.raises(JxlError) as caught:
                codec.encode(photo()[:-200], effort=3, pixels=PIXELS)
            assert reason_of(caught) == "encoder-failed"
    assert workers(tmp_path) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_is_refused_costs_the_image(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("a process can be limited from without on Linux only")
    body = photo(size=(4096, 4096))
    with Codec(installed_encoder(kind)) as codec:
        codec.encode(photo(), effort=3, pixels=PIXELS)
        monkeypatch.setattr(jxl_codec, "_ADDRESSES", 1 << 28)
        monkeypatch.setattr(jxl_codec, "_ADDRESSES_A_PIXEL", 0)
        with pytest.raises(JxlError) as caught:
            codec.encode(body, effort=3, pixels=1)
        assert reason_of(caught) == "encoder-failed"
        monkeypatch.undo()
        assert codec.encode(body, effort=3, pixels=4096**2)


@pytest.mark.parametrize(
    ("cjxl", "djxl", "reason"),
    [
        ("exit 1", "exit 1", "encoder-failed"),
        ("kill -SEGV $$", "exit 1", "encoder-failed"),
        ("exit 0", "exit 0", "broken-output"),
        ("cat", "cat > $2", "broken-output"),
        ("cat made.jxl", "echo oops >&2; exit 3", "encoder-failed"),
        ("cat made.jxl", "cat made.jxl", "not-identical"),
        ("cat made.jxl", "cat source.jpg other.jpg > $2", "not-identical"),
        ("cat cut.jxl", "cat source.jpg > $2", "broken-output"),
        ("cat other.jxl", "cat source.jpg > $2", "broken-output"),
    ],
)
@needs_pylibjxl
def test_programs_that_fail_or_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cjxl: str, djxl: str, reason: str
) -> None:
    source, other = photo(), photo(size=(40, 40))
    with Codec(PYLIBJXL) as codec:
        made = codec.encode(source, effort=3, pixels=PIXELS)
        files = {
            "source.jpg": source, "other.jpg": other, "made.jxl": made, "cut.jxl": made[:-9],
            "other.jxl": codec.encode(other, effort=3, pixels=1600),
        }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    encoder = programs(tmp_path, monkeypatch, cjxl, djxl)
    with Codec(encoder) as codec, pytest.raises(JxlError) as caught:
        codec.encode(source, effort=3, pixels=PIXELS)
    assert reason_of(caught) == reason


@needs_pylibjxl
def test_a_file_that_is_not_smaller(tmp_path: Path) -> None:
    with Codec(PYLIBJXL) as codec, pytest.raises(JxlError) as caught:
        codec.encode(photo(size=(1, 1)), effort=3, pixels=1)
    assert reason_of(caught) == "not-smaller"


def test_too_many_pixels_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Codec, "_command", lambda codec: ["/nowhere"])
    with Codec(PYLIBJXL) as codec, pytest.raises(JxlError) as caught:
        codec.encode(photo(), effort=3, pixels=jxl_codec.MAX_PIXELS + 1)
    assert reason_of(caught) == "too-large"


HANGS = "echo $$ >> pids; trap '' INT TERM HUP; sleep 600 & echo $! >> pids; wait; sleep 600"


def pids(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_one_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = programs(tmp_path, monkeypatch, HANGS)
    too_slow = pytest.raises(TooSlow, match="no end of the encode after 2 s")
    with Codec(encoder) as codec, too_slow:
        codec.encode(photo(), effort=3, pixels=PIXELS, seconds=2)
    assert len(pids(tmp_path)) == 2
    wait_until(lambda: not any(map(is_running, pids(tmp_path))))


def test_kill_ends_all_and_lets_none_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec(programs(tmp_path, monkeypatch, HANGS))

    def encode(_: int) -> str:
        with pytest.raises(EncodeInterrupted) as caught:
            codec.encode(photo(), effort=3, pixels=PIXELS)
        return str(caught.value)

    with ThreadPoolExecutor(2) as threads:
        ends = threads.map(encode, range(4))
        wait_until(lambda: len(pids(tmp_path)) == 4)
        codec.kill()
        assert list(ends) == ["interrupted"] * 4
    codec.close()
    assert len(pids(tmp_path)) == 4
    wait_until(lambda: not any(map(is_running, pids(tmp_path))))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@needs_pylibjxl
def test_a_worker_that_somebody_ends_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    poisoned(tmp_path, monkeypatch, f"os.kill(os.getpid(), {number:d})")
    with Codec(PYLIBJXL) as codec, pytest.raises(EncodeInterrupted):
        codec.encode(photo(comment=b"BAD"), effort=3, pixels=PIXELS)


@pytest.mark.parametrize(
    "command", [["/nowhere/python"], [sys.executable, "-c", "raise SystemExit(1)"]]
)
def test_a_worker_that_does_not_start_decides_nothing(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(Codec, "_command", lambda codec: command)
    with Codec(PYLIBJXL) as codec, pytest.raises(EncodeInterrupted, match=r"no encoder|not start"):
        codec.encode(photo(), effort=3, pixels=PIXELS)


#: A crawl, as far as a worker knows one: it has an image encoded and is killed meanwhile.
PARENT = """
import sys
from mapillary_crawler.image.encoders import Encoder
from mapillary_crawler.image.jxl_codec import Codec
body = open(sys.argv[2], "rb").read()
Codec(Encoder("cjxl", "0", sys.argv[1])).encode(body, effort=3, pixels=1)
"""


def test_workers_do_not_outlive_a_killed_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = programs(tmp_path, monkeypatch, HANGS)
    (tmp_path / "a.jpg").write_bytes(photo())
    command = [sys.executable, "-c", PARENT, encoder.path, str(tmp_path / "a.jpg")]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}) as parent:
        wait_until(lambda: len(pids(tmp_path)) == 2)
        parent.kill()
    wait_until(lambda: not any(map(is_running, pids(tmp_path))), seconds=5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_whatever_was_before(kind: str) -> None:
    bodies = [photo(shade) for shade in range(12)]

    def encoded(order: list[bytes]) -> dict[bytes, bytes]:
        with Codec(installed_encoder(kind)) as codec, ThreadPoolExecutor(2) as threads:
            work: Callable[[bytes], bytes] = lambda body: codec.encode(  # noqa: E731
                body, effort=3, pixels=PIXELS
            )
            return dict(zip(order, threads.map(work, order), strict=True))

    assert encoded(bodies) == encoded(bodies[::-1])


# Which encoder


@pytest.mark.parametrize("kind", KINDS)
def test_an_installed_encoder(kind: str) -> None:
    encoder = installed_encoder(kind)
    assert encoder.kind == kind
    assert any(character.isdigit() for character in encoder.version)


def hide(folder: Path, monkeypatch: pytest.MonkeyPatch, *, programs_too: bool) -> None:
    """Hide pylibjxl, which then cannot be imported, and the programs."""
    (folder / "pylibjxl.py").write_text("raise ImportError('hidden')")
    monkeypatch.syspath_prepend(str(folder))
    if programs_too:
        monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize("choice", ["auto", "pylibjxl", "cjxl"])
def test_none_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    hide(tmp_path, monkeypatch, programs_too=True)
    with pytest.raises(ValueError, match=rf"JXL_ENCODER={choice}: .*extra \[jxl\]") as caught:
        installed_encoder(choice)
    assert "\n" not in str(caught.value)
    with Decoder() as jpeg_of, pytest.raises(Refused, match=r"extra \[jxl\]"):
        jpeg_of(b"")


def test_auto_takes_the_programs_where_the_library_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(tmp_path, monkeypatch, programs_too=False)
    programs(tmp_path, monkeypatch, "echo cjxl v9.8 [x]")
    assert installed_encoder("auto")[:2] == ("cjxl", "9.8")


def test_an_unknown_choice() -> None:
    with pytest.raises(ValueError, match="allowed are auto, pylibjxl, cjxl"):
        installed_encoder("libjxl")


# Decoding what comes from elsewhere


@needs_pylibjxl
def test_hostile_files_are_refused(tmp_path: Path) -> None:
    with Codec(PYLIBJXL) as codec:
        made = codec.encode(photo(), effort=3, pixels=PIXELS)
        assert codec.decode(made) == photo()
        for hostile in (b"", made[:-40], made.replace(b"jbrd", b"jbrx")):
            with pytest.raises(JxlError):
                codec.decode(hostile)
        header = bits((0, 1), (3, 2), (29_999, 30), (1, 3))
        large = jxl.START + box(b"jxlc", header)
        with pytest.raises(JxlError) as caught:
            codec.decode(large)
        assert reason_of(caught) == "too-large"


@needs_pylibjxl
def test_a_decoder_is_shared_by_threads() -> None:
    with Codec(PYLIBJXL) as codec, Decoder() as jpeg_of, ThreadPoolExecutor(4) as threads:
        bodies = [photo(shade) for shade in range(8)]
        made = [codec.encode(body, effort=3, pixels=PIXELS) for body in bodies]
        assert list(threads.map(jpeg_of, made)) == bodies
    assert threading.active_count() < 10
