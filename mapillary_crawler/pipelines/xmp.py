"""Licence, origin and, of panoramas, the photo sphere, as XMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapillary_crawler.image import xmp
from mapillary_crawler.pipelines.metadata import MetadataPipeline

if TYPE_CHECKING:
    from mapillary_crawler.image import jpeg
    from mapillary_crawler.items import ImageItem


class XmpPipeline(MetadataPipeline):
    """Writes XMP; comes after `ExifPipeline`, before what encodes."""

    kind = "xmp"

    def write(self, item: ImageItem) -> jpeg.Written:
        """Return the body with XMP."""
        return xmp.write(
            item.body,
            item.metadata,
            image_id=item.image_id,
            username=self.username,
            captured_at=item.captured_at,
        )
