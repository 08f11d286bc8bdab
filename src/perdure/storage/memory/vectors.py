"""Vectors in the memory backend: by namespace and model, each with the commit that wrote it.

Here: `Vectors`. Not here: items (`item_changes.py`), comparing them (`vectors/`). Every change, done again, changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from heapq import nsmallest
from itertools import count

from perdure.storage.contract import OWED, Embedded, Namespace, VectorSpace
from perdure.storage.memory.subtrees import below


class _Shelf:
    """One model in one namespace."""

    __slots__ = ("changed", "rows", "space")

    def __init__(self, space: int) -> None:
        self.space = space
        self.changed = 0
        self.rows: dict[int, tuple[int, Embedded]] = {}  # ref -> seq of its commit, vectors


class Vectors:
    """Who uses it holds the backend's lock."""

    def __init__(self) -> None:
        self._names: list[Namespace] = []  # in order: a subtree is a range
        self._shelves: dict[Namespace, dict[str, _Shelf]] = {}
        self._spaces: dict[int, _Shelf] = {}
        self._model: dict[int, str] = {}  # ref -> of its vectors
        self._next = count(1)
        self.owed: set[int] = set()  # refs of items that are to be embedded later

    def put(self, ref: int, namespace: Namespace, embedded: Embedded | None, seq: int) -> None:
        """The item has these vectors from now on."""
        if embedded == OWED:
            self.owed.add(ref)
        else:
            self.owed.discard(ref)
        model = None if embedded is None or not embedded.data else embedded.model
        before = self._model.get(ref)
        if before is not None and before != model:
            shelf = self._shelves[namespace][before]
            shelf.rows.pop(ref, None)
            shelf.changed = seq
            self._model.pop(ref, None)
        if embedded is not None and model is not None:
            shelf = self._shelf(namespace, model)
            shelf.rows[ref] = (seq, embedded)
            shelf.changed = seq
            self._model[ref] = model

    def of(self, ref: int, namespace: Namespace) -> Embedded | None:
        """The item's vectors, or that they are owed; None: it has none."""
        if ref in self.owed:
            return OWED
        model = self._model.get(ref)
        return None if model is None else self._shelves[namespace][model].rows[ref][1]

    def _shelf(self, namespace: Namespace, model: str) -> _Shelf:
        at = bisect_left(self._names, namespace)
        if self._names[at : at + 1] != [namespace]:
            insort(self._names, namespace)
        shelves = self._shelves.setdefault(namespace, {})
        shelf = shelves.get(model)
        if shelf is None:
            shelf = _Shelf(next(self._next))
            self._spaces[shelf.space] = shelf
            shelves[model] = shelf
        return shelf

    def wrong(self, embeddable: Mapping[int, Namespace], newest: int) -> tuple[int, int, int]:
        """How many vectors are of others than these items, how many items lost theirs, how many shelves err about changes.

        `embeddable` says where each item is, `newest` is the seq of the last commit.
        """
        loose = errs = 0
        standing: set[int] = set()
        for namespace, model, shelf in self._all():
            mine = {
                ref for ref, row in shelf.rows.items() if self._sound(ref, namespace, model, row, embeddable)
            }
            loose += len(shelf.rows) - len(mine)
            standing |= mine
            last = max((seq for seq, _ in shelf.rows.values()), default=0)
            errs += not last <= shelf.changed <= newest
        return loose, len(self._model.keys() - standing), errs

    def mend(self, embeddable: Mapping[int, Namespace], seq: int) -> None:
        """Only vectors of these items are left, and no item has lost any; all shelves changed with this commit."""
        models: dict[int, str] = {}
        for namespace, model, shelf in self._all():
            shelf.rows = {
                ref: (min(row[0], seq), row[1])
                for ref, row in shelf.rows.items()
                if self._sound(ref, namespace, model, row, embeddable)
            }
            models.update(dict.fromkeys(shelf.rows, model))
            shelf.changed = seq
        self._model = models

    def _all(self) -> list[tuple[Namespace, str, _Shelf]]:
        return [
            (namespace, model, shelf)
            for namespace, shelves in self._shelves.items()
            for model, shelf in shelves.items()
        ]

    def _sound(
        self,
        ref: int,
        namespace: Namespace,
        model: str,
        row: tuple[int, Embedded],
        embeddable: Mapping[int, Namespace],
    ) -> bool:
        of_it = embeddable.get(ref) == namespace and self._model.get(ref) == model == row[1].model
        return of_it and bool(row[1].data) and not len(row[1].data) % 4

    def spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """Namespaces of the subtree with vectors of the model."""
        shelves = self._shelves
        return [
            VectorSpace(shelf.space, len(shelf.rows), shelf.changed)
            for namespace in below(self._names, prefix)
            if (shelf := shelves[namespace].get(model)) is not None and shelf.rows
        ]

    def rows(self, space: int, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """The space's vectors that were written later, from item `start` on."""
        shelf = self._spaces.get(space)
        rows = {} if shelf is None else shelf.rows
        refs = nsmallest(limit, (ref for ref, (seq, _) in rows.items() if seq > after and ref >= start))
        return [(ref, rows[ref][1].data) for ref in refs]

    def refs(self, space: int) -> list[int]:
        """The space's items that have vectors."""
        shelf = self._spaces.get(space)
        return [] if shelf is None else sorted(shelf.rows)

    def count(self, prefix: Namespace) -> int:
        """Items of the subtree with vectors, of any model."""
        return sum(
            len(shelf.rows)
            for namespace in below(self._names, prefix)
            for shelf in self._shelves[namespace].values()
        )
