"""A namespace's vectors as a matrix in memory, kept between searches and brought up to date by what is new.

A `Space` never changes: an update makes another one that shares what stayed. So a search needs no lock, and one that
began before an update goes on with what it saw.

Here: `Spaces`, loaded from snapshots, within a limit of bytes. Not here: scores (`likeness.py`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from perdure.storage.contract import Namespace, Snapshot, VectorSpace
from perdure.storage.vectors.arrays import matrix_of, need_numpy, unit
from perdure.storage.vectors.packs import packed, worth_packing
from perdure.storage.vectors.subtrees import Remembered, Subtree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.storage.vectors.arrays import Matrix

__all__ = ["Few", "Space", "Spaces"]

Few: TypeAlias = Callable[[VectorSpace], "list[tuple[int, bytes]] | None"]

_CHUNK: Final = 4096  # rows
_PAGE: Final = 4096  # items read at once
_ALL: Final = 1 << 62


class Space:
    """One namespace's vectors of one model, as of one commit.

    Attributes:
        refs: the item of each row, ascending: the rows of an item stand together.
        chunks: the rows, in pieces; of length 1 where angles are compared.
        starts: where each item's rows begin; None: every item has one row.
        pack: where its only chunk stands beside those of others, from row `first` on; None: it stands alone.
    """

    __slots__ = ("changed", "chunks", "first", "items", "pack", "refs", "starts")

    def __init__(self, refs: NDArray[np.int64], chunks: list[Matrix], items: int, changed: int) -> None:
        np = need_numpy()
        self.refs = refs
        self.chunks = chunks
        self.items = items
        self.changed = changed
        self.pack: Matrix | None = None
        self.first = 0
        self.starts: NDArray[np.int64] | None = None
        if len(refs) != items:
            self.starts = np.flatnonzero(np.concatenate(([True], refs[1:] != refs[:-1])))

    def at(self, pack: Matrix, first: int, end: int) -> Space:
        """The same, its rows being these of the pack."""
        made = copy(self)
        made.chunks, made.pack, made.first = [pack[first:end]], pack, first
        return made

    @property
    def size(self) -> int:
        """Bytes."""
        return self.refs.nbytes + sum(chunk.nbytes for chunk in self.chunks)

    def names(self) -> NDArray[np.int64]:
        """Its items, ascending."""
        return self.refs if self.starts is None else self.refs[self.starts]

    def row(self, place: int) -> Matrix:
        """One row."""
        for chunk in self.chunks:
            if place < len(chunk):
                return chunk[place]
            place -= len(chunk)
        raise IndexError(place)

    def take(self, places: NDArray[np.int64]) -> Matrix:
        """Some rows."""
        if len(self.chunks) == 1:
            return self.chunks[0].take(places, 0)
        np = need_numpy()
        return np.stack([self.row(place) for place in places.tolist()])

    def rows_of(self, ref: int) -> list[Matrix]:
        """The item's rows."""
        first = int(self.refs.searchsorted(ref, "left"))
        end = int(self.refs.searchsorted(ref, "right"))
        return [self.row(place) for place in range(first, end)]


class Spaces:
    """The matrices of one model in one database.

    Args:
        model: names the vectors.
        dims: their length.
        angles: whether rows are made of length 1.
        limit: bytes of matrices that are kept between searches.
    """

    def __init__(self, model: str, dims: int, *, angles: bool, limit: int) -> None:
        self._model = model
        self._dims = dims
        self._angles = angles
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Space] = OrderedDict()
        self._subtrees = Remembered()  # of what is kept only, so they keep nothing else in memory
        self._size = 0

    def below(self, snapshot: Snapshot, prefix: Namespace, few: Few | None = None) -> Subtree:
        """The matrices of the subtree's namespaces, as the snapshot sees them.

        `few` gives the vectors of a namespace that are likely to matter, or None where it has to be all.
        """
        wanted = snapshot.vector_spaces(prefix, self._model)
        some: dict[int, Space] = {}
        if few is not None:
            for space in wanted:
                if (rows := few(space)) is not None:
                    refs, matrix = self._rows(rows)
                    some[space.space] = Space(refs, [matrix], len(rows), space.changed)
        if some:
            wanted = [space for space in wanted if space.space not in some]
            return Subtree([*some.values(), *self._all(snapshot, wanted)])
        if len(wanted) < 2:
            return Subtree(self._all(snapshot, wanted))
        with self._lock:
            known = self._subtrees.get(prefix, wanted)
        if known is None:
            known = Subtree(self._all(snapshot, wanted))
            with self._lock:
                if self._are_kept(wanted, known.spaces):
                    self._subtrees.keep(prefix, wanted, known)
        return known

    def _all(self, snapshot: Snapshot, wanted: list[VectorSpace]) -> list[Space]:
        with self._lock:
            known = [self._kept.get(space.space) for space in wanted]
            for space, kept in zip(wanted, known, strict=True):
                if kept is not None:
                    self._kept.move_to_end(space.space)
        found = [
            kept if kept is not None and kept.changed == space.changed else self._space(snapshot, space, kept)
            for space, kept in zip(wanted, known, strict=True)
        ]
        return self._packed(wanted, found) if worth_packing(found) else found

    def _are_kept(self, wanted: list[VectorSpace], found: list[Space]) -> bool:
        return all(self._kept.get(one.space) is space for one, space in zip(wanted, found, strict=True))

    def _packed(self, wanted: list[VectorSpace], found: list[Space]) -> list[Space]:
        """In packs, if all of them stay in memory: those that are read each time would be packed each time."""
        with self._lock:
            if not self._are_kept(wanted, found):
                return found
        together = packed(found)
        with self._lock:
            for one, before, space in zip(wanted, found, together, strict=True):
                if self._kept.get(one.space) is before:  # as large as it was
                    self._kept[one.space] = space
            self._subtrees.forget([one.space for one in wanted])
        return together

    def _space(self, snapshot: Snapshot, wanted: VectorSpace, kept: Space | None) -> Space:
        """One whose matrix is not kept, or as of another commit."""
        if kept is not None and kept.changed < wanted.changed:
            space = self._updated(snapshot, wanted, kept)
        else:
            space = self._loaded(snapshot, wanted)
            if kept is not None:
                return space  # the snapshot is older than what is kept
        self._keep(wanted.space, space)
        return space

    def _keep(self, name: int, space: Space) -> None:
        with self._lock:
            before = self._kept.get(name)
            if before is not None:
                if before.changed >= space.changed:
                    return
                self._size -= before.size
                self._subtrees.forget((name,))
            self._kept[name] = space
            self._kept.move_to_end(name)
            self._size += space.size
            while self._size > self._limit and self._kept:
                gone, oldest = self._kept.popitem(last=False)
                self._size -= oldest.size
                self._subtrees.forget((gone,))

    def _loaded(self, snapshot: Snapshot, wanted: VectorSpace) -> Space:
        refs, chunks, items = self._read(snapshot, wanted, 0)
        return Space(refs, chunks, items, wanted.changed)

    def _read(
        self, snapshot: Snapshot, wanted: VectorSpace, after: int
    ) -> tuple[NDArray[np.int64], list[Matrix], int]:
        np = need_numpy()
        refs: list[NDArray[np.int64]] = []
        chunks: list[Matrix] = []
        items, start = 0, 0
        while rows := snapshot.vectors(wanted.space, self._model, after, start, _PAGE):
            names, matrix = self._rows(rows)
            refs.append(names)
            chunks.append(matrix)
            items += len(rows)
            start = rows[-1][0] + 1
            if len(rows) < _PAGE:
                break
        return (np.concatenate(refs) if refs else np.empty(0, np.int64)), chunks, items

    def _rows(self, rows: list[tuple[int, bytes]]) -> tuple[NDArray[np.int64], Matrix]:
        """The item of each row, and the rows."""
        np = need_numpy()
        matrix = matrix_of(b"".join([data for _, data in rows]), self._dims)
        counts = [len(data) // (4 * self._dims) for _, data in rows]
        refs = np.repeat(np.array([ref for ref, _ in rows], dtype=np.int64), counts)
        return refs, unit(matrix) if self._angles else matrix.copy()

    def _updated(self, snapshot: Snapshot, wanted: VectorSpace, kept: Space) -> Space:
        """What is new laid into what is kept; loaded anew where that is no less work."""
        np = need_numpy()
        refs, chunks, new = self._read(snapshot, wanted, kept.changed)
        rows = np.concatenate(chunks) if chunks else np.empty((0, self._dims), np.float32)
        known = np.isin(refs, kept.refs)
        fresh = refs[~known]
        plain = kept.starts is None and len(refs) == new
        gone = kept.items + len(np.unique(fresh)) - wanted.items
        appends = not len(fresh) or not len(kept.refs) or fresh[0] > kept.refs[-1]
        if not plain or gone or not appends or len(refs) > _CHUNK:
            return (
                self._again(snapshot, wanted, kept, refs, rows)
                if gone or plain
                else self._loaded(snapshot, wanted)
            )
        pieces = list(kept.chunks)
        if known.any():
            self._overwrite(pieces, kept.refs.searchsorted(refs[known]), rows[known])
        if len(fresh):
            if pieces and len(pieces[-1]) + len(fresh) <= _CHUNK:
                pieces[-1] = np.concatenate((pieces[-1], rows[~known]))
            else:
                pieces.append(rows[~known])
        return Space(np.concatenate((kept.refs, fresh)), pieces, wanted.items, wanted.changed)

    @staticmethod
    def _overwrite(pieces: list[Matrix], places: Any, rows: Matrix) -> None:
        first = 0
        for number, piece in enumerate(pieces):
            inside = (places >= first) & (places < first + len(piece))
            if inside.any():
                changed = piece.copy()
                changed[places[inside] - first] = rows[inside]
                pieces[number] = changed
            first += len(piece)

    def _again(
        self, snapshot: Snapshot, wanted: VectorSpace, kept: Space, refs: NDArray[np.int64], rows: Matrix
    ) -> Space:
        """With items taken out, or put in between: all rows copied once, none read again."""
        np = need_numpy()
        alive = np.array(snapshot.embedded(wanted.space, self._model), dtype=np.int64)
        stay = np.isin(kept.refs, alive) & ~np.isin(kept.refs, refs)
        all_refs = np.concatenate((kept.refs[stay], refs))
        old = np.concatenate(kept.chunks)[stay] if kept.chunks else np.empty((0, self._dims), np.float32)
        order = np.argsort(all_refs, kind="stable")
        matrix = np.concatenate((old, rows))[order]
        all_refs = all_refs[order]
        items = len(np.unique(all_refs))
        if items != wanted.items:
            return self._loaded(snapshot, wanted)
        pieces = [matrix[at : at + _CHUNK] for at in range(0, len(matrix), _CHUNK)]
        return Space(all_refs, pieces, items, wanted.changed)
