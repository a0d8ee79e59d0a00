"""Tests that share what is costly to make run in one process, if pytest-xdist's groups do work."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("groups")
def test_a_group_is_known_to_who_shares_the_tests_out(request: pytest.FixtureRequest) -> None:
    """Without a word, pytest 9.2 and pytest-xdist 3.8 together do not group at all."""
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("the tests run in one process")
    assert request.node.nodeid.endswith("@groups")
