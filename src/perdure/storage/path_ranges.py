"""What a backend may preselect items by: a path of their values, and the ranges in which what stands there lies.

Plain values. Not here: how they follow from a filter (`preselect.py`), what a backend makes of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

__all__ = ["TEXT_KEPT", "PathRanges", "Range"]

Range: TypeAlias = tuple[float, float] | tuple[bytes, bytes]
"""Least and greatest, both included: of numbers, or of texts as UTF-8."""

TEXT_KEPT: Final = 200
"""Characters of a text that an index holds; longer ones are compared by these."""


class PathRanges(NamedTuple):
    """Values that have at `path` a number or a text within one of `ranges`; booleans count as 0 and 1.

    Attributes:
        path: as a filter spells it.
        ways: the same as steps of names and list indexes, in the order in which they are tried: a literal key wins.
        ranges: no two of them overlap.
    """

    path: str
    ways: tuple[tuple[str | int, ...], ...]
    ranges: tuple[Range, ...]

    @property
    def exact(self) -> bool:
        """Whether every range is one value."""
        return all(least == greatest for least, greatest in self.ranges)
