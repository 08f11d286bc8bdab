"""What a search by meaning finds, as rows of a group: vectors that come and go, and how many a namespace has.

Here: `VectorRows`, the net effect of a group. Not here: items (`item_changes.py`), statements' order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from perdure.storage.tables.known import ItemState
from perdure.storage.tables.rows import PreparedVectors

__all__ = ["OWED_MODEL", "Gathered", "VectorRows"]

OWED_MODEL: Final = 0  # of an item whose vectors are owed: numbers of models begin with 1


class Gathered(NamedTuple):
    """What a group does to the tables."""

    removed: list[int]
    vectors: list[int | bytes]  # item, model, seq, data
    spaces: list[int]  # space, model, what is added, seq


class VectorRows:
    """Gathers for one group."""

    __slots__ = ("_rows", "_spaces")

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, int, bytes] | None] = {}  # item -> model, seq, data; None: they go
        self._spaces: dict[tuple[int, int], tuple[int, int]] = {}  # what is added, seq

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._rows or self._spaces)

    def put(
        self,
        item: int,
        before: ItemState | None,
        vectors: PreparedVectors | None,
        model: int | None,
        seq: int,
    ) -> None:
        """The item has these vectors from now on; `model` None or `OWED_MODEL`: none."""
        if before is not None and before.model:
            self._count(item >> 32, before.model, -1, seq)
            if not model:
                self._rows[item] = None
        if vectors is not None and model:
            self._count(item >> 32, model, 1, seq)
            self._rows[item] = (model, seq, vectors.data)

    def _count(self, space: int, model: int, added: int, seq: int) -> None:
        before = self._spaces.get((space, model), (0, 0))[0]
        self._spaces[space, model] = (before + added, seq)

    def rows(self) -> Gathered:
        """What is to be written; nothing of it is left here."""
        found = Gathered(
            [item for item, row in self._rows.items() if row is None],
            [value for item, row in self._rows.items() if row is not None for value in (item, *row)],
            [value for where, added in self._spaces.items() for value in (*where, *added)],
        )
        self._rows, self._spaces = {}, {}
        return found
