"""Cutting JSON at a depth, compared with cutting what the standard library reads."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapillary_crawler.graph.answers import flatten

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{},é\n'),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('k"\\[{'), inner, max_size=4)
    ),
    max_leaves=30,
)


def cut(value: Any, depth: int) -> Any:
    """Do what `flatten` does, on a value and by recursion."""
    if isinstance(value, list):
        return [cut(inner, depth - 1) for inner in value] if depth else None
    if isinstance(value, dict):
        return {name: cut(inner, depth - 1) for name, inner in value.items()} if depth else None
    return value


@given(json_values, st.integers(1, 6), st.sampled_from([None, 1]), st.booleans())
def test_it_cuts_what_is_deeper_and_nothing_else(
    value: Any, depth: int, indent: int | None, ascii_only: bool
) -> None:
    document = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert json.loads(flatten(document, depth)) == cut(value, depth)


@given(json_values)
def test_what_is_not_deep_stays_byte_for_byte(value: Any) -> None:
    document = json.dumps(value).encode()
    assert flatten(document) == document


def test_the_bound_itself() -> None:
    assert flatten(b"[[[1],2],3]", 2) == b"[[null,2],3]"
    assert flatten(b'{"a":{"b":[1]},"c":[]}', 1) == b'{"a":null,"c":null}'


@pytest.mark.parametrize("brackets", [b"[]", b"{}"])
def test_brackets_in_strings_are_text(brackets: bytes) -> None:
    document = b'["' + brackets[:1] * 500 + b'\\"' + brackets[1:] * 3 + b'"]'
    assert flatten(document, 1) == document


@given(st.binary() | st.text('"\\[]{}a').map(str.encode), st.integers(1, 4))
def test_no_bytes_break_it_and_malformed_stays_malformed(document: bytes, depth: int) -> None:
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        whole = False
    else:
        whole = True
    try:
        json.loads(flatten(document, depth))
    except ValueError:
        assert not whole


def test_long_strings_cost_no_memory_but_their_own() -> None:
    document = b'["' + b"a\\\\" * 1_000_000 + b'"]'
    tracemalloc.start()
    try:
        assert flatten(document) == document
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(document)


def test_depth_costs_no_stack() -> None:
    assert flatten(b"[" * 100_000 + b"]" * 1_000_00, 3) == b"[[[null]]]"
