"""The command line of the crawl that makes a collection."""

from __future__ import annotations

import pytest

from mapillary_crawler.archive import collection_arguments
from mapillary_crawler.archive.collection_arguments import crawl_command


def test_it_can_be_typed_whatever_the_program_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "python -m mapillary_crawler"
    monkeypatch.setattr(collection_arguments, "program_name", lambda: name)
    command = crawl_command({"username": "b ö", "quality": "256"})
    assert command == f"{name} crawl user -a 'username=b ö' -a quality=256"
