"""Time, place, direction, camera and author, as EXIF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapillary_crawler.image import exif
from mapillary_crawler.pipelines.metadata import MetadataPipeline

if TYPE_CHECKING:
    from mapillary_crawler.image import jpeg
    from mapillary_crawler.items import ImageItem


class ExifPipeline(MetadataPipeline):
    """Writes EXIF; comes before `XmpPipeline`."""

    kind = "exif"

    def write(self, item: ImageItem) -> jpeg.Written:
        """Return the body with EXIF."""
        return exif.write(
            item.body, item.metadata, captured_at=item.captured_at, username=self.username
        )
