"""Pure: what is said at the end of sequences that were asked for and are not there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

#: Ids in the one line of warning; the others follow, so many a line, at the level of the log.
_FIRST, _A_LINE = 5, 20


def remarks(asked: Sequence[str], seen: AbstractSet[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with their levels for those asked for that a complete listing has not brought."""
    unknown = [sequence for sequence in asked if sequence not in seen]
    if not unknown:
        return
    first, others = unknown[:_FIRST], unknown[_FIRST:]
    more = f" and {len(others)} more" if others else ""
    yield (
        logging.WARNING,
        f"The listing has no image of {len(unknown)} of the {len(asked)} sequences asked for: "
        f"{', '.join(first)}{more}",
    )
    for start in range(0, len(others), _A_LINE):
        some = ", ".join(others[start : start + _A_LINE])
        yield logging.INFO, f"Nor has it one of: {some}"
