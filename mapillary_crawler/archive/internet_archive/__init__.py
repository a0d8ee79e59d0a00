"""The Internet Archive side: the only importers of `internetarchive`, never inside a crawl."""
