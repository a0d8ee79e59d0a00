"""Where the project is, and where results go."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "bench" / "results"
