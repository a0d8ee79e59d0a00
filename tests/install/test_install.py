"""One install: the command works anywhere, and makes what the checkout makes."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mapillary_crawler.sandbox.process import Sandbox
from tests.crawling import PROJECT, Crawling, assert_same
from tests.install.conftest import Installed

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("install")]

_COLLECTION = "mapillary-alice-1024"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder of another Scrapy project."""
    (tmp_path / "other").mkdir()
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = other.settings\n")
    (tmp_path / "other" / "settings.py").write_text("BOT_NAME = 'other'\nSPIDER_MODULES = []\n")
    return tmp_path


@pytest.fixture(scope="session")
def from_checkout(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection that `scrapy crawl user` makes in the checkout."""
    crawling = Crawling(tmp_path_factory.mktemp("checkout") / "store", sandbox)
    result = crawling.run(username="alice", quality=1024, check_ia=0)
    assert result.code == 0, result.output
    return crawling.store / _COLLECTION


def crawl(command: list[str | Path], installed: Installed, cwd: Path) -> Path:
    """Archive alice, and return her collection."""
    arguments = ["-a", "username=alice", "-a", "quality=1024", "-a", "check_ia=0"]
    result = installed.run(*command, "crawl", "user", *arguments, cwd=cwd)
    assert result.code == 0, result.output
    assert " complete: listed " in result.lines[-1]
    return cwd / "mapillary_data" / _COLLECTION


def test_wheel_and_sdist_hold_what_they_should(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    modules = {
        str(path.relative_to(PROJECT)) for path in (PROJECT / "mapillary_crawler").rglob("*.py")
    }
    assert modules <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "mapillary_crawler", "jpeg_entropy",
    }  # fmt: skip
    assert not [name for name in names if name.endswith((".c", ".h"))]
    with tarfile.open(sdist) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    assert {"setup.py", "native/pyproject.toml", "requirements.txt", "LICENSE", "README.md"} <= held
    native = (PROJECT / "native" / "jpeg_entropy").glob("*.[ch]")
    assert {str(path.relative_to(PROJECT)) for path in native} <= held
    assert not [name for name in held if name.startswith("tests")]


def test_demo_then_a_user_from_another_folder(
    installed: Installed, elsewhere: Path, from_checkout: Path
) -> None:
    shown = installed.run(installed.command, "demo", cwd=elsewhere)
    assert shown.code == 0, shown.output
    assert "$ mapillary-crawler crawl user " in shown.output
    assert "  mapillary-crawler crawl user -a username=NAME " in shown.output
    collection = crawl([installed.command], installed, elsewhere)
    assert_same(collection, from_checkout)
    verified = installed.run(installed.command, "verify", _COLLECTION, cwd=elsewhere)
    assert verified.code == 0, verified.output
    where = "import jpeg_entropy, mapillary_crawler as m; print(m.__file__)"
    place = installed.run(installed.python, "-c", where, cwd=elsewhere)
    assert place.output.startswith(str(installed.folder)), place.output


def test_as_a_module(installed: Installed, elsewhere: Path, from_checkout: Path) -> None:
    module: list[str | Path] = [installed.python, "-m", "mapillary_crawler"]
    assert_same(crawl(module, installed, elsewhere), from_checkout)
    refused = installed.run(*module, "verify", cwd=elsewhere)
    assert refused.lines == [
        "python -m mapillary_crawler verify: "
        "say which collection: python -m mapillary_crawler verify COLLECTION"
    ]


def test_what_it_starts_is_the_same_program(installed: Installed, elsewhere: Path) -> None:
    for command in (["archive", "--jobs", "2"], ["plan"]):
        options = ["alice", "bob", "-a", "quality=256", "-s", "MAPILLARY_STORE=store"]
        result = installed.run(installed.command, *command, *options, cwd=elsewhere)
        assert result.code == 0, result.output
    assert (elsewhere / "store" / "mapillary-bob-256" / "SHA256SUMS").exists()
    planned = installed.run(installed.command, "plan", "alice", "-a", "quality=2048", cwd=elsewhere)
    said = "mapillary-crawler crawl user -a username=alice -a quality=2048"
    assert said in planned.output


def test_its_name_is_in_all_that_it_says(installed: Installed, elsewhere: Path) -> None:
    overview = installed.run(installed.command, cwd=elsewhere)
    assert "  mapillary-crawler <command> [options] [args]" in overview.lines
    commands = re.findall(r"^  (\w+)  +[A-Z]", overview.output, re.MULTILINE)
    assert {"crawl", "fetch", "status", "completion"} <= set(commands)
    spelt = re.compile(rf"scrapy (?:{'|'.join(commands)}|<)")
    assert not spelt.search(overview.output)
    for command in ("crawl", "plan", "sandbox", "fetch"):
        text = installed.run(installed.command, command, "-h", cwd=elsewhere).output
        assert f"mapillary-crawler {command}" in text
        assert not spelt.search(text)
    unknown = installed.run(installed.command, "crwal", cwd=elsewhere)
    meant = "did you mean crawl? see mapillary-crawler -h"
    said = f"mapillary-crawler: there is no command 'crwal'; {meant}"
    assert (unknown.code, unknown.lines) == (2, [said])


def test_without_a_c_compiler(
    built: Path, install: Callable[..., Installed], elsewhere: Path, from_checkout: Path
) -> None:
    (sdist,) = built.glob("*.tar.gz")
    installed = install(sdist, CC="/bin/false")
    without = installed.run(installed.python, "-c", "import jpeg_entropy", cwd=elsewhere)
    assert "ImportError: jpeg_entropy has no library" in without.output
    assert_same(crawl([installed.command], installed, elsewhere), from_checkout)


def test_sdist_with_a_c_compiler(
    built: Path, install: Callable[..., Installed], elsewhere: Path
) -> None:
    (sdist,) = built.glob("*.tar.gz")
    installed = install(sdist)
    asked = "import jpeg_entropy; print(jpeg_entropy.is_whole(b''))"
    assert installed.run(installed.python, "-c", asked, cwd=elsewhere).lines == ["False"]
