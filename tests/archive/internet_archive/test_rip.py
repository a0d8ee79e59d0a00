"""The other way to upload: `rip`, which hands `.meta` to the `ia` command.

Both ways must give an item the same metadata. `rip` is shell: one `--metadata=tag:value` for
each file `.meta/{tag}/{n}`, the rest as below.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mapillary_crawler.collection.names import Collection
from mapillary_crawler.sandbox.process import Sandbox
from tests.archive.internet_archive.collections_made import make

ODD = Collection('o\'Neil & Söhne: "k%20n" x', quality="2048")
_IA = "import sys; from internetarchive.cli.ia import main; sys.exit(main())"


def rip(folder, sandbox, home):
    """Upload a folder as `rip` does."""
    metadata = [
        f"--metadata={tag.name}:{value.read_text().rstrip()}"
        for tag in sorted((folder / ".meta").iterdir())
        for value in sorted(tag.iterdir(), key=lambda file: int(file.name))
    ]
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    address = sandbox.url.removeprefix("http://")
    return subprocess.run(
        [
            sys.executable,
            "-c",
            _IA,
            "--insecure",
            "upload",
            folder.name,
            *files,
            "-c",
            "--keep-directories",
            "--retries=3",
            "--sleep=1",
            *metadata,
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "IA_ACCESS_KEY_ID": "key",
            "IA_SECRET_ACCESS_KEY": "SECRET",
            "http_proxy": f"http://{address}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_both_ways_give_the_same_metadata(scrapy, tmp_path):
    folder = make(tmp_path / "store", 2, ODD)
    with Sandbox.running([]) as sandbox:
        done = rip(folder, sandbox, tmp_path)
        assert done.returncode == 0, done.stderr
        by_rip = sandbox.archive()["items"][folder.name]
        assert sandbox.counters()["answers"]["archive 200"] >= 7
        sandbox.reset()
        ours = scrapy("ia_upload", folder, sandbox=sandbox)
        assert ours.returncode == 0, ours.stderr
        by_us = sandbox.archive()["items"][folder.name]
    assert by_us["metadata"] == by_rip["metadata"]
    assert by_us["metadata"]["creator"] == ODD.username
    assert "\n\n" in by_us["metadata"]["description"]
    assert len(by_us["metadata"]["subject"]) == 5

    def files(item):
        return {file["name"]: file["md5"] for file in item["files"]}

    assert files(by_us) == files(by_rip)
