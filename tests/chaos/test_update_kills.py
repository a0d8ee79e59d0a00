"""SIGKILL at random instants of an update, the merge into the store included."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from mapillary_crawler.archive.update.journal import is_half_done
from mapillary_crawler.collection.layout import ARRIVING, JOURNAL
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.finish.made import deterministic_set
from tests.archive.update.updates import assert_whole
from tests.chaos.preloaded import library
from tests.crawling import Crawling

pytestmark = pytest.mark.long

NAME = "mapillary-erin-256"
WANTED = {"username": "erin", "quality": "256", "update": 1}
USER = {"username": "erin", "images": 600, "days": 8.0, "late": 180, "undated": 0.02}
OPTIONS = ("-s", "TAR_MAX_BYTES=300000")


#: Microseconds that a flush takes on a slow disk at most.
SLOW = 40_000


@pytest.mark.parametrize(("disks", "slow"), [(1, False), (2, False), (1, True)])
def test_a_kill_at_any_instant_of_an_update(tmp_path, other_disk, request, disks, slow):
    kills = request.config.getoption("--kills", 8)
    with Sandbox.running([USER], seed=7) as sandbox:
        crawling = Crawling(tmp_path / "store", sandbox)
        if disks == 2:
            crawling.environment["MAPILLARY_STAGING"] = str(other_disk)
        if slow:
            preloaded = {"LD_PRELOAD": str(library(tmp_path, "slow_disk")), "DISK_NAPS": str(SLOW)}
            crawling.environment.update(preloaded)
        assert crawling.run(*OPTIONS, **WANTED).code == 0
        folder, template = crawling.store / NAME, tmp_path / "template"
        shutil.copytree(folder, template)
        old = deterministic_set(folder)
        ids = [image.image_id for image in sandbox.catalogue.user("erin").images()][:6]
        faults = {"api": {"vanish": ids, "appear_after": 0}}
        sandbox.reset()
        sandbox.set_faults(faults)
        began = time.monotonic()
        assert crawling.run(*OPTIONS, **WANTED).code == 0
        seconds = time.monotonic() - began
        new = deterministic_set(folder)
        assert sandbox.counters()["images"]["total"] == 180
        chance = random.Random(disks)
        met = half_done = 0
        while met < kills:
            shutil.rmtree(folder)
            shutil.copytree(template, folder)
            code = -1
            while code != 0:
                # The merge is a twentieth of the time, and the renames are a thousandth.
                sign = chance.choice([None, ARRIVING, JOURNAL])
                merge = 2 if slow else 0.02
                within = chance.uniform(0.3, seconds) if sign is None else chance.uniform(0, merge)
                code = _run(crawling, folder, sign, within * (0.1 if sign == JOURNAL else 1))
                met += code == -signal.SIGKILL
                half_done += is_half_done(folder)
                assert code in (0, -signal.SIGKILL)
                assert_whole(folder, old, new)
            assert deterministic_set(folder) == new
            staging = crawling.environment.get("MAPILLARY_STAGING", crawling.store / ".incomplete")
            assert list((Path(staging) / NAME).rglob("*")) == []
            assert not (Path(staging) / NAME).exists()
        assert half_done or kills < 30  # some of so many come between two renames


def _run(crawling: Crawling, folder: Path, sign: str | None, within: float) -> int:
    """Update, and kill it some seconds after it began, or a file showed itself."""
    with crawling.started(*OPTIONS, **WANTED) as process:
        until = time.monotonic() + 60
        while sign and process.poll() is None and time.monotonic() < until:
            if (folder / sign).exists():
                break
            time.sleep(0.0002)
        until = time.monotonic() + within
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.0002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return process.returncode
