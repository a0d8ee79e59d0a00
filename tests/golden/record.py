"""Records the golden collections: `python -m tests.golden.record`, in the project's folder.

Only with a new number of the collection's format, said in CHANGELOG.md; see test_golden.py.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.golden.collections import GOLDEN, crawl, golden_sandbox, recorded


def main() -> None:
    with golden_sandbox() as sandbox:
        for golden in GOLDEN:
            with tempfile.TemporaryDirectory() as store:
                folder = crawl(golden, sandbox, Path(store), {"TZ": "UTC", "LC_ALL": "C.UTF-8"})
                text = json.dumps(recorded(golden, folder), ensure_ascii=False, indent=1)
                golden.record.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
