"""Scrapy extensions, one class a file."""
