"""Archives the images of a Mapillary user: a Scrapy project."""

__version__ = "0.1.0"
