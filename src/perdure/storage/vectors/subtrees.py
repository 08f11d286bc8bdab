"""The matrices of several namespaces taken together: what scoring needs of all of them, made once for as long as none changes.

Here: `Subtree`, which never changes, and `Remembered`. Not here: matrices (`spaces.py`), side by side (`packs.py`), scores (`likeness.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perdure.storage.contract import Namespace, VectorSpace
from perdure.storage.vectors.arrays import need_numpy
from perdure.storage.vectors.packs import runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.storage.vectors.arrays import Matrix
    from perdure.storage.vectors.spaces import Space

__all__ = ["Remembered", "Run", "Subtree"]

_MOST: Final = 8


class Run(NamedTuple):
    """Namespaces whose rows stand side by side.

    Attributes:
        rows: of all of them; None: they are in pieces.
        end: of its items among those of all runs.
        plain: whether every item has one row.
    """

    spaces: list[Space]
    rows: Matrix | None
    end: int
    plain: bool

    def take(self, places: NDArray[np.int64]) -> Matrix:
        """Some rows."""
        return self.spaces[0].take(places) if self.rows is None else self.rows.take(places, 0)


class Subtree:
    """Matrices of namespaces, in order. Safe from any thread: what is made late is made alike by all.

    Attributes:
        spaces: one a namespace.
    """

    __slots__ = ("_ends", "_longest", "_names", "_runs", "spaces")

    def __init__(self, spaces: list[Space]) -> None:
        self.spaces = spaces
        self._names: NDArray[np.int64] | None = None
        self._ends: NDArray[np.int64] | None = None
        self._runs: list[Run] | None = None
        self._longest: float | None = None

    def names(self) -> NDArray[np.int64]:
        """The items of all namespaces, one after the other."""
        if self._names is not None:
            return self._names
        np = need_numpy()
        names = [space.names() for space in self.spaces]
        found = names[0] if len(names) == 1 else np.concatenate(names) if names else np.empty(0, np.int64)
        self._names = found
        return found

    def runs(self) -> list[Run]:
        """All namespaces, in order."""
        if self._runs is None:
            found: list[Run] = []
            end = 0
            for spaces, rows in runs(self.spaces):
                end += sum(space.items for space in spaces)
                found.append(Run(spaces, rows, end, all(space.starts is None for space in spaces)))
            self._runs = found
        return self._runs

    def longest(self) -> float:
        """The greatest number in any row, whatever its sign; at least 0."""
        if self._longest is None:
            chunks = (chunk for space in self.spaces for chunk in space.chunks)
            self._longest = max([0.0, *(float(abs(chunk).max()) for chunk in chunks)])
        return self._longest

    def rows_at(self, places: NDArray[np.intp]) -> Matrix | None:
        """The rows of the items at these places of `names`; None: some items have several, or no place is given."""
        several = self.runs()
        if not len(places) or not all(run.plain for run in several):
            return None
        if len(several) == 1:
            return several[0].take(places)
        np = need_numpy()
        owners: Any = np.array([run.end for run in several]).searchsorted(places, "right")
        found: Any = None
        numbers: list[int] = owners.tolist()
        for owner in dict.fromkeys(numbers):
            here: Any = owners == owner
            first = several[owner - 1].end if owner else 0
            rows = several[owner].take(places[here] - first)
            if found is None:
                found = np.empty((len(places), rows.shape[1]), rows.dtype)
            found[here] = rows
        return found

    def located(self, names: NDArray[np.int64]) -> Iterator[tuple[Space, NDArray[np.int64]]]:
        """The namespaces of these, each with its own of them; looked for in all at once: there may be thousands."""
        np = need_numpy()
        named = self.names()
        if not len(named):
            return
        if len(self.spaces) == 1:
            there = named.take(named.searchsorted(names), mode="clip") == names
            yield self.spaces[0], names[there]
            return
        ends: Any = self._ends
        if ends is None:
            ends = self._ends = np.cumsum([space.items for space in self.spaces])
        places = np.flatnonzero(np.isin(named, names))
        owners = ends.searchsorted(places, "right")
        numbers: list[int] = owners.tolist()
        for owner in dict.fromkeys(numbers):
            yield self.spaces[owner], named[places[owners == owner]]


class Remembered:
    """The subtrees of several namespaces that were asked for last. Not safe by itself."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Namespace, tuple[Sequence[VectorSpace], frozenset[int], Subtree]] = (
            OrderedDict()
        )

    def get(self, prefix: Namespace, wanted: Sequence[VectorSpace]) -> Subtree | None:
        """Of just these namespaces, as they are; None: it is not known."""
        kept = self._kept.get(prefix)
        if kept is None or (kept[0] is not wanted and kept[0] != wanted):
            return None
        self._kept.move_to_end(prefix)
        return kept[2]

    def keep(self, prefix: Namespace, wanted: Sequence[VectorSpace], subtree: Subtree) -> None:
        """In place of what was known."""
        self._kept.pop(prefix, None)
        self._kept[prefix] = wanted, frozenset(one.space for one in wanted), subtree
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def forget(self, changed: Collection[int]) -> None:
        """All that have one of these namespaces: their matrices are others now, or gone."""
        for prefix in [prefix for prefix, kept in self._kept.items() if not kept[1].isdisjoint(changed)]:
            del self._kept[prefix]
