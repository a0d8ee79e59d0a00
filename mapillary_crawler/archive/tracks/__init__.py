"""Where a collection's images were taken, as lines for maps: GeoJSON, GPX, KML."""
