"""DuckDB and geopandas read what `scrapy export` writes, and find what Mapillary said."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mapillary_crawler.image import fields as image_fields
from tests.crawling import manifest
from tests.environments import programs_of
from tests.judges.conftest import Made

_READ = """
import json, sys
import duckdb, geopandas

path = sys.argv[1]
frame = geopandas.read_parquet(path)
table = duckdb.connect()
query = "SELECT id, epoch_ms(captured_at), tar, \\"offset\\", size, heading, make FROM"
print(json.dumps({
    "crs": frame.crs.to_string(),
    "places": {
        name: None if place is None else [place.x, place.y]
        for name, place in zip(frame["id"], frame.geometry)
    },
    "duckdb": table.execute(f"DESCRIBE SELECT geometry FROM '{path}'").fetchone()[1],
    "placed": table.execute(f"SELECT count(geometry) FROM '{path}'").fetchone()[0],
    "rows": table.execute(f"{query} '{path}'").fetchall(),
}))
"""


def test_geopandas_and_duckdb_agree(
    made: Made, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    path = tmp_path / "images.parquet"
    made.scrapy("export", made.name, "--parquet", path)
    python = programs_of(pytestconfig, "duckdb", "geopandas", "pyarrow") / "python"
    ran = subprocess.run(
        [python, "-c", _READ, path], check=False, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found["crs"] == "OGC:CRS84"
    assert found["duckdb"].startswith("GEOMETRY")
    assert found["placed"] == len(made.placed())
    assert found["places"].keys() == made.rows.keys()
    assert {name: tuple(at) for name, at in found["places"].items() if at} == made.placed()
    assert len(found["rows"]) == len(made.rows)
    lines = manifest(made.folder / "checksums.jsonl.gz")
    checksums = {line["id"]: line["sha256_stored"] for line in lines}
    for name, captured_at, tar, offset, size, heading, make in found["rows"]:
        row = made.rows[name]
        assert captured_at == made.time(name)
        assert heading == pytest.approx(image_fields.heading(row), abs=1e-3)
        assert (make or "") == image_fields.text(row.get("make"))
        with (made.folder / tar).open("rb") as file:
            file.seek(offset)
            body = file.read(size)
        assert hashlib.sha256(body).hexdigest() == checksums[name]
