"""What the shell's Tab offers, asked through the shells and the real command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import Installed, pip_install

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("install")]

ASKED = [
    ("ver", {"verify", "version"}),
    ("verify --f", {"--fast", "--full"}),
    ("verify mapillary-", {"mapillary-alice-2048", "mapillary-bob-1024"}),
    ("status -s MAPILLARY_STORE=other mapillary-", {"mapillary-zoe-256"}),
    ("adopt o", {"other/"}),
    ("crawl ", {"user"}),
    ("crawl user -a tar", {"tar=0", "tar=1"}),
    ("crawl user -a pa", {"page=0", "page=1"}),
    ("crawl user -a upl", {"upload=0", "upload=1"}),
    ("crawl user -a rem", {"remove=0", "remove=1"}),
    ("crawl user -s STAGING_M", {"STAGING_MAX_BYTES="}),
    ("crawl user -s MIN_F", {"MIN_FREE_BYTES="}),
    ("crawl user -L D", {"DEBUG"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a store, a staging folder and another store."""
    for name in (
        "mapillary_data/mapillary-alice-2048",
        "mapillary_data/.incomplete/mapillary-bob-1024",
        "other/mapillary-zoe-256",
    ):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def environment(installed: Installed, install_completion: None) -> dict[str, str]:
    path = f"{installed.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**installed.environment, "PATH": path}


@pytest.fixture(scope="module")
def install_completion(installed: Installed, pytestconfig: pytest.Config) -> None:
    """Have argcomplete where the command is."""
    if pytestconfig.getoption("--from-index", default=False):
        subprocess.run([*pip_install(installed.folder), "argcomplete"], check=True)
    else:
        pytest.importorskip("argcomplete", reason="argcomplete is not installed")


@pytest.mark.parametrize(("line", "offered"), ASKED)
def test_command_answers(
    line: str, offered: set[str], installed: Installed, environment: dict[str, str], folder: Path
) -> None:
    """argcomplete's protocol: the line in COMP_LINE, the answer on descriptor 8."""
    line, answer = f"mapillary-crawler {line}", folder / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
             "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}  # fmt: skip
    done = subprocess.run(
        [installed.command], cwd=folder, env={**environment, **asked}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")
    assert {each.strip() for each in answer.read_text().split("\n")} == offered


@pytest.mark.parametrize(
    ("shell", "program"),
    [
        (
            "bash",
            'eval "$(mapillary-crawler completion bash)"; COMP_TYPE=9; COMP_LINE=$1; '
            "COMP_POINT=${#1}; _python_argcomplete mapillary-crawler 2>/dev/null; "
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ),
        ("fish", "mapillary-crawler completion fish | source; complete -C $argv[2]"),
    ],
)
def test_shell_is_given_the_answer(
    shell: str, program: str, environment: dict[str, str], folder: Path
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    line = "mapillary-crawler verify mapillary-"
    done = subprocess.run(
        [shell, "-c", program, shell, line], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert {each.split("\t")[0].strip() for each in done.stdout.splitlines()} == {
        "mapillary-alice-2048", "mapillary-bob-1024",
    }, done.stderr  # fmt: skip


def test_zsh_takes_the_code(
    installed: Installed, environment: dict[str, str], folder: Path
) -> None:
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    program = (
        'autoload -Uz compinit; compinit -u -D; eval "$(mapillary-crawler completion zsh)"; '
        "print $_comps[mapillary-crawler]"
    )
    done = subprocess.run(
        ["zsh", "-fc", program], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "_python_argcomplete\n", done.stderr


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_refused(arguments: list[str], installed: Installed, folder: Path) -> None:
    result = installed.run(installed.command, "completion", *arguments, cwd=folder)
    said = "mapillary-crawler completion: say for which shell: mapillary-crawler completion "
    assert (result.code, result.lines) == (2, [f"{said}bash|zsh|fish"])
