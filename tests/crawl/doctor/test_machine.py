"""What is installed: each that is missing, broken or switched off has a finding of its own."""

from __future__ import annotations

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mapillary_crawler.collection.outcome import Outcome
from mapillary_crawler.crawl.doctor import machine
from mapillary_crawler.crawl.doctor.finding import State
from mapillary_crawler.image import inspection, webp


def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"half of {name}")

    monkeypatch.setattr(machine, "import_module", fail)


def test_versions_are_named() -> None:
    found = machine.versions()
    assert {"mapillary_crawler", "Python", "Scrapy", "Twisted", "Pillow", "SQLite"} <= found.keys()
    judged = machine.judge_versions(found)
    assert judged.state is State.OK
    assert f"Scrapy {found['Scrapy']}" in judged.found


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_DISTRIBUTIONS", ("Scrapy", "no-such-distribution-here"))
    judged = machine.judge_versions(machine.versions())
    assert (judged.state, judged.outcome) == (State.FAULT, Outcome.ERROR)
    assert judged.found == "not installed: no-such-distribution-here"


@pytest.mark.parametrize(
    ("walk", "native", "state"),
    [
        (True, bool, State.OK),
        (True, None, State.WARNING),
        (False, bool, State.NOTE),
        (False, None, State.NOTE),
    ],
)
def test_judge_of_images(
    walk: bool, native: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_native_walk", native)
    judged = machine.judge_of_images(walk=walk)
    assert judged.state is state
    assert ("native/" in judged.remedy) == (not walk)


def test_judge_of_images_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    unloadable(monkeypatch)
    for judged in (machine.judge_of_images(walk=True), machine.encoder("auto")):
        assert (judged.state, judged.outcome) == (State.FAULT, Outcome.ERROR)
        assert "half of" in judged.found


@pytest.mark.parametrize(
    ("choice", "cwebp", "pillow", "state"),
    [
        ("auto", True, True, State.OK),
        ("auto", False, True, State.OK),
        ("auto", False, False, State.WARNING),
        ("cwebp", True, True, State.OK),
        ("cwebp", False, True, State.FAULT),
        ("pillow", True, True, State.OK),
        ("pillow", True, False, State.FAULT),
    ],
)
def test_encoder(
    choice: str, cwebp: bool, pillow: bool, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = webp.Encoder("cwebp", "1.2.4", "/x/cwebp") if cwebp else None
    monkeypatch.setattr(webp, "_cwebp", lambda: found)
    own = webp.Encoder("pillow", "libwebp 1.5, Pillow 12") if pillow else None
    monkeypatch.setattr(webp, "_pillow", lambda: own)
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    judged = machine.encoder(choice)
    assert judged.state is state
    assert judged.outcome is (Outcome.REFUSED if state is State.FAULT else None)
    assert bool(judged.remedy) == (state is not State.OK)
    if state is State.OK:
        expected = "Pillow's libwebp 1.5, Pillow 12"
        assert judged.found == (expected if choice == "pillow" or not cwebp else "cwebp 1.2.4")


def test_an_encoder_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "cwebp"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    judged = machine.encoder("auto")
    assert judged.state is State.WARNING
    assert judged.found.startswith(f"{broken} does not work; Pillow's libwebp")


@pytest.mark.parametrize(
    ("limit", "state"), [(4096, State.OK), (120, State.WARNING), (30, State.FAULT)]
)
def test_open_files(limit: int, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    names = ("concurrency_start", "concurrency_min", "concurrency_max", "concurrency_fixed")
    configuration: Any = SimpleNamespace(**dict.fromkeys(names, 128))
    monkeypatch.setattr(
        "mapillary_crawler.crawl.open_files.replace", lambda configuration, **_: configuration
    )
    judged = machine.open_files(configuration)
    assert judged.state is state
    assert ("ulimit -n" in judged.remedy) == (state is not State.OK)
