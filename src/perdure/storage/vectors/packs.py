"""Rows of many small namespaces side by side, so that one multiplication scores them all: each call costs more than a small one's rows.

A namespace's rows stay its own: a part of a pack, that it leaves when it changes. When many have left, or are new, they are packed anew.

Here: `packed`, and `runs` of namespaces that stand side by side. Pure. Not here: what is kept (`spaces.py`), scores (`likeness.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from perdure.storage.vectors.arrays import need_numpy

if TYPE_CHECKING:
    from perdure.storage.vectors.arrays import Matrix
    from perdure.storage.vectors.spaces import Space

__all__ = ["packed", "runs", "worth_packing"]

_ROWS: Final = 4096  # of a pack
_SMALL: Final = 1024  # rows of a namespace that is packed
_MANY: Final = 16
_SHARE: Final = 8  # where one of so many stands alone, packing anew costs little beside


def worth_packing(spaces: Sequence[Space]) -> bool:
    """Whether so many small ones stand alone that packing pays."""
    if len(spaces) < _MANY:
        return False
    small = [space for space in spaces if _is_small(space)]
    alone = sum(space.pack is None for space in small)
    return alone >= _MANY and alone * _SHARE >= len(small)


def packed(spaces: Sequence[Space]) -> list[Space]:
    """The same in the same order, the small ones in new packs."""
    found = list(spaces)
    waiting: list[int] = []
    rows = 0
    for place, space in enumerate(spaces):
        if _is_small(space):
            size = len(space.chunks[0])
            if rows + size > _ROWS:
                _pack(found, waiting)
                waiting, rows = [], 0
            waiting.append(place)
            rows += size
    _pack(found, waiting)
    return found


def _is_small(space: Space) -> bool:
    return len(space.chunks) == 1 and 0 < len(space.chunks[0]) <= _SMALL


def _pack(found: list[Space], places: Sequence[int]) -> None:
    if not places:
        return
    pack = need_numpy().concatenate([found[place].chunks[0] for place in places])
    first = 0
    for place in places:
        space = found[place]
        end = first + len(space.chunks[0])
        found[place] = space.at(pack, first, end)
        first = end


def runs(spaces: Sequence[Space]) -> Iterator[tuple[list[Space], Matrix | None]]:
    """The same in the same order, together where they stand side by side, with the rows of all of these."""
    run: list[Space] = []
    pack: Any = None
    first = end = 0
    for space in spaces:
        if run and space.pack is not None and space.pack is pack and space.first == end:
            run.append(space)
        else:
            if run:
                yield run, _between(pack, first, end)
            run, pack, first = [space], space.pack, space.first
        end = space.first + len(space.chunks[0]) if space.pack is not None else 0
    if run:
        yield run, _between(pack, first, end)


def _between(pack: Any, first: int, end: int) -> Any:
    return None if pack is None else pack[first:end]
