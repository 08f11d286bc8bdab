"""A subtree as one reader sees it: what is committed, and what a task has staged over it.

Items are called by numbers: committed ones by their ref in the snapshot, staged ones by numbers below zero.
Here: `Overlay`, which items there are, their rows and times, which is newer. Not here: what a query finds (`text/`, `vectors/`).
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.storage.contract import ItemRow, Namespace, Snapshot, foretelling
from perdure.storage.staging import Layers, Operation, staged_in

__all__ = ["Overlay"]


class Overlay:
    """Of use within the snapshot's block.

    Attributes:
        now: what is committed.
        prefix: the subtree.
        staged: the live staged items that are to be found, by number; the newest has the greatest number.
        hidden: committed items that something staged stands over, deletions included.
        touched: the places of everything staged.
    """

    def __init__(self, snapshot: Snapshot, layers: Layers, prefix: Namespace) -> None:
        self.now = snapshot
        self.prefix = prefix
        self.staged: dict[int, Operation] = {}
        self._rows: dict[int, ItemRow] = {}
        operations = staged_in(layers, prefix)
        for place, operation in enumerate(operations):
            row = operation.row(snapshot)
            if row is not None and operation.paths != ():
                self.staged[-1 - place] = operation
                self._rows[-1 - place] = row
        self.touched = {(operation.namespace, operation.key) for operation in operations}
        self.hidden = set(snapshot.refs(list(self.touched))) if self.touched else set[int]()

    def rows(self, names: Sequence[int]) -> dict[int, ItemRow]:
        """The live items' rows."""
        if not self.staged:
            return self.now.rows(names)
        found = self.now.rows([name for name in names if name >= 0])
        found.update({name: self._rows[name] for name in names if name < 0})
        return found

    def times(self, names: Sequence[int]) -> dict[int, int]:
        """When each of the live items was written last (microseconds)."""
        found = self.now.times([name for name in names if name >= 0])
        found.update({name: self._rows[name].updated_at for name in names if name < 0})
        return found

    def newest_first(self, names: Sequence[int], wanted: Sequence[int]) -> list[int]:
        """The names in the order of their last writes, the latest first; `wanted`: items whose rows will be asked for, if that is known."""
        ahead = foretelling(self.now) if wanted else None
        if ahead is not None:
            ahead.foretell_rows([name for name in wanted if name >= 0])
        versions = self.now.versions([name for name in names if name >= 0])
        return sorted(
            names, key=lambda name: (name < 0, name if name < 0 else versions.get(name, 0)), reverse=True
        )
