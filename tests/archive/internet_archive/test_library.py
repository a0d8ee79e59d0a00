"""The library patches the process's sockets, so a crawl must never import it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_one_module_imports_the_library():
    importers = set()
    for path in (ROOT / "mapillary_crawler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in {name.split(".")[0] for name in names} & {"internetarchive", "requests"}:
                importers.add((name, path.relative_to(ROOT / "mapillary_crawler").name))
    assert importers == {
        ("internetarchive", "session.py"),
        ("requests", "session.py"),
        ("requests", "ranges.py"),
    }


def test_no_command_imports_it_before_it_runs():
    code = (
        "import sys; from scrapy.utils.misc import walk_modules;"
        "list(walk_modules('mapillary_crawler.commands'));"
        "list(walk_modules('mapillary_crawler.spiders'));"
        "print([name for name in sys.modules if name.split('.')[0] == 'internetarchive'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
