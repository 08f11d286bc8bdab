"""How like a question the items of a subtree are: its vector against theirs, the best of an item's counts.

Scores are first taken in float32 for all, by matrix; `exact` says them in float64 for the few that are shown, a row at a
time, so that every backend gets the same number wherever the row stands.

Here: scores. Not here: matrices (`spaces.py`), the order of what is found.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from perdure.storage.overlay import Overlay
from perdure.storage.vectors.arrays import matrix_of, need_numpy, unit
from perdure.storage.vectors.embedder import Embedder
from perdure.storage.vectors.spaces import Space, Spaces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.storage.vectors.arrays import Matrix

__all__ = ["NEAR", "Likeness"]

NEAR: Final = 2e-5
"""How far a cosine of `all` may be from the exact one."""

_lock = threading.Lock()
_spaces: WeakKeyDictionary[Any, dict[tuple[str, bool], Spaces]] = WeakKeyDictionary()


def _spaces_of(source: object, embedder: Embedder) -> Spaces:
    angles = embedder.distance == "cosine"
    with _lock:
        of_source = _spaces.setdefault(source, {})
        found = of_source.get((embedder.name, angles))
        if found is None:
            found = Spaces(embedder.name, embedder.dims, angles=angles, limit=embedder.cache_bytes)
            of_source[embedder.name, angles] = found
        return found


class Likeness:
    """Scores by one question. Greater is more alike: the cosine, the inner product, or minus the distance.

    Args:
        view: the subtree.
        embedder: how the store embeds.
        question: the question's vector.

    Attributes:
        near: how far a score of `all` may be from the exact one.
    """

    def __init__(self, view: Overlay, embedder: Embedder, question: bytes) -> None:
        self._distance = embedder.distance
        self._angles = embedder.distance == "cosine"
        row = matrix_of(question, embedder.dims)
        self._question = (unit(row) if self._angles else row)[0]
        self._below = _spaces_of(view.now.source, embedder).below(view.now, view.prefix)
        self._staged: dict[int, Matrix] = {}
        for name, operation in view.staged.items():
            embedded = operation.embedded
            if embedded is not None and embedded.data and embedded.model == embedder.name:
                rows = matrix_of(embedded.data, embedder.dims)
                self._staged[name] = unit(rows) if self._angles else rows
        self._hidden = view.hidden
        self._named: NDArray[np.int64] | None = None  # the items of all namespaces, one after the other
        self._ends: Any = None  # where each namespace ends in it
        self._found: dict[int, list[Matrix]] = {}
        lengths = (
            [float(abs(chunk).max()) for space in self._below for chunk in space.chunks]
            if not self._angles
            else []
        )
        length = max([1.0, *lengths]) * max(1.0, float(abs(self._question).max())) * embedder.dims
        self.near = NEAR if self._angles else NEAR * length

    def all(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items that have vectors, and their scores in float32."""
        np = need_numpy()
        names: list[Any] = [space.names() for space in self._below]
        scores: list[Any] = [self._best(space) for space in self._below]
        if self._staged:
            names.append(np.array(list(self._staged), dtype=np.int64))
            scores.append(np.array([self._of(rows).max() for rows in self._staged.values()], np.float32))
        if not names:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        all_names, all_scores = np.concatenate(names), np.concatenate(scores)
        if self._hidden:
            stay = ~np.isin(all_names, np.fromiter(self._hidden, np.int64))
            all_names, all_scores = all_names[stay], all_scores[stay]
        return all_names, all_scores

    def _best(self, space: Space) -> Any:
        np = need_numpy()
        parts = [self._of(chunk) for chunk in space.chunks]
        scores = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.float32)
        return scores if space.starts is None else np.maximum.reduceat(scores, space.starts)

    def _of(self, rows: Matrix) -> Any:
        if self._distance != "l2":
            return rows @ self._question
        np = need_numpy()
        difference = rows - self._question
        return -np.sqrt(np.einsum("ij,ij->i", difference, difference))

    def exact(self, name: int) -> float:
        """The item's score in float64. Raises KeyError if it has no vector."""
        return max(self._exactly(row) for row in self.rows(name))

    def exact_or_none(self, name: int) -> float | None:
        """As `exact`; None for an item without vectors."""
        try:
            return self.exact(name)
        except KeyError:
            return None

    def _exactly(self, row: Matrix) -> float:
        np = need_numpy()
        one, other = row.astype(np.float64), self._question.astype(np.float64)
        if self._distance == "l2":
            return -float(np.sqrt(((one - other) ** 2).sum()))
        return float((one * other).sum())

    def rows(self, name: int) -> list[Matrix]:
        """The item's vectors. Raises KeyError if it has none."""
        if name < 0:
            return list(self._staged[name])
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: int) -> list[Matrix]:
        """Looked for in all namespaces at once: there may be thousands."""
        np = need_numpy()
        if self._named is None:
            names = [space.names() for space in self._below]
            self._named = np.concatenate(names) if names else np.empty(0, np.int64)
            self._ends = np.cumsum([len(one) for one in names])
        (places,) = np.nonzero(self._named == name)
        if not len(places):
            raise KeyError(name)
        return self._below[int(np.searchsorted(self._ends, places[0], "right"))].rows_of(name)
