"""GeoParquet 1.1; the only importer of pyarrow, which is 170 MB, and of orjson: the extra [geo]."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
from pyarrow import parquet

from mapillary_crawler.archive.export.rows import COLUMNS, Box, Rows
from mapillary_crawler.archive.saved_images import check_all
from mapillary_crawler.ledger.ledger import Ledger
from mapillary_crawler.ledger.records import SavedImage
from mapillary_crawler.ledger.trouble import LedgerDamaged

#: Rows that are Python's at once, few enough for a processor's cache, and those of a row group.
_BATCH, _GROUP = 1_000, 100_000

_TYPES = {
    "captured_at": pa.timestamp("ms", tz="UTC"),
    "geometry": pa.binary(),
    **dict.fromkeys(("computed", "is_pano", "damaged"), pa.bool_()),
    **dict.fromkeys(("altitude", "heading"), pa.float32()),
    **dict.fromkeys(("width", "height"), pa.int32()),
    **dict.fromkeys(("offset", "size"), pa.int64()),
}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in COLUMNS])
#: Columns in which values come again and again; a dictionary of the others is in vain.
_REPEATING = ["sequence", "camera_type", "make", "model", "width", "height", "tar"]


def write_parquet(ledger: Ledger, file: BinaryIO) -> int:
    """Write the saved images in the order of listing; return how many.

    Memory does not grow with their number.
    """
    images, rows = 0, Rows()
    with parquet.ParquetWriter(
        file, _SCHEMA, compression="zstd", use_dictionary=_REPEATING, write_page_index=True
    ) as writer:
        batches = _batches(ledger, rows)
        while group := list(islice(batches, _GROUP // _BATCH)):
            table = pa.Table.from_batches(group)
            writer.write_table(table, row_group_size=_GROUP)
            images += len(table)
        writer.add_key_value_metadata({"geo": json.dumps(_geo(rows.box))})
    return images


def _geo(box: Box | None) -> dict[str, Any]:
    """Return the file's metadata (GeoParquet 1.1); without a `crs` it is OGC:CRS84."""
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"]}
    if box:
        column["bbox"] = list(box)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _batches(ledger: Ledger, rows: Rows) -> Iterator[pa.RecordBatch]:
    images = ledger.images.saved()
    while some := list(islice(images, _BATCH)):
        check_all(some)
        made = [
            rows.row(image, fields)
            for page, of_page in groupby(some, attrgetter("page"))
            for image, fields in _with_fields(of_page, _slice(ledger, page))
        ]
        columns = zip(zip(*made, strict=True), _SCHEMA, strict=True)
        arrays = [pa.array(column, field.type) for column, field in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _slice(ledger: Ledger, page: int) -> list[bytes]:
    """Return the rows of a slice; none where a ledger from elsewhere has no such slice."""
    try:
        return ledger.pages.kept(page)
    except LedgerDamaged:
        return []


def _with_fields(
    images: Iterable[SavedImage], rows: Sequence[bytes]
) -> Iterator[tuple[SavedImage, dict[str, Any]]]:
    """Yield images with their fields, as `fields_of` has them, in a quarter of its time."""
    for image in images:
        try:
            fields = orjson.loads(rows[image.row])
        except (ValueError, TypeError, IndexError):
            fields = {}
        yield image, fields if isinstance(fields, dict) else {}
