"""How like a question the items of a subtree are: its vector against theirs, the best of an item's counts.

Scores are first taken in float32 for all, by matrix; `exact` says them in float64 for the few that are shown, a row at a
time, so that every backend gets the same number wherever the row stands.

Here: scores. Not here: matrices (`spaces.py`), the order of what is found.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from math import sqrt
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from perdure.storage.contract import NearestAnswers, VectorSpace
from perdure.storage.overlay import Overlay
from perdure.storage.vectors.arrays import matrix_of, need_numpy, unit
from perdure.storage.vectors.embedder import Embedder
from perdure.storage.vectors.spaces import Few, Space, Spaces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.storage.vectors.arrays import Matrix

__all__ = ["NEAR", "Likeness"]

NEAR: Final = 2e-5
"""How far a cosine of `all` may be from the exact one."""

_TIMES, _MORE = 2, 20  # candidates of an index for each that is asked for, and beside

_ALONE, _SHARED = 400_000, 1_000_000
"""Numbers of a matrix that one thread multiplies, and from how many on others help it. OpenBLAS wakes its threads for more than 460,800
and waits for all of them: a tenth of a millisecond's work took ten where the cores were busy, and 0.05 where they were not."""

_lock = threading.Lock()
_spaces: WeakKeyDictionary[Any, dict[tuple[str, bool], Spaces]] = WeakKeyDictionary()


def _after_fork() -> None:
    """In the child: whoever held a lock is not here, and what it was about to change may be half changed."""
    global _lock
    _lock = threading.Lock()
    _spaces.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _spaces_of(source: object, embedder: Embedder) -> Spaces:
    angles = embedder.distance == "cosine"
    with _lock:
        of_source = _spaces.get(source)
        if of_source is None:
            of_source = _spaces[source] = {}
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
        enough: how many of the best are asked for, and nothing of the others; None: of all.

    Attributes:
        near: how far a score of `all` may be from the exact one.
        partial: whether there are items that it does not know: no more than `enough`, and some, were looked for.
    """

    def __init__(self, view: Overlay, embedder: Embedder, question: bytes, enough: int | None = None) -> None:
        self._distance = embedder.distance
        self._angles = embedder.distance == "cosine"
        asked = matrix_of(question, embedder.dims)[0].astype("f8")
        if self._angles:
            asked /= sqrt(asked.dot(asked)) or 1.0
        self._question = asked.astype("f4")
        self._question_exact = self._question.astype("f8")
        self.partial = False
        few = None if enough is None else self._likely(view, embedder, enough)
        self._below = _spaces_of(view.now.source, embedder).below(view.now, view.prefix, few)
        self._staged: dict[int, Matrix] = {}
        for name, operation in view.staged.items():
            embedded = operation.embedded
            if embedded is not None and embedded.data and embedded.model == embedder.name:
                rows = matrix_of(embedded.data, embedder.dims)
                self._staged[name] = unit(rows) if self._angles else rows
        self._hidden = view.hidden
        self._all: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
        self._exact: dict[int, float | None] = {}  # None: it has no vector
        self.near = NEAR
        if not self._angles:
            staged = [float(abs(rows).max()) for rows in self._staged.values()]
            longest = max([1.0, self._below.longest(), *staged]) * max(1.0, float(abs(self._question).max()))
            self.near *= longest * embedder.dims

    def _likely(self, view: Overlay, embedder: Embedder, enough: int) -> Few | None:
        """What gives a large namespace's best, and some more: an index is not sure of its order. None: there is no such index."""
        now = view.now
        if not embedder.by_index or not isinstance(now, NearestAnswers):
            return None
        question: list[float] = self._question.tolist()
        count = _TIMES * enough + _MORE + len(view.hidden)

        def few(space: VectorSpace) -> list[tuple[int, bytes]] | None:
            if space.items <= count:
                return None  # all of them would be asked for
            rows = now.nearest(space, embedder.name, question, self._distance, count)
            self.partial |= rows is not None and len(rows) < space.items
            return rows

        return few

    def all(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items that have vectors, and their scores in float32."""
        if self._all is None:
            self._all = self._scored()
        return self._all

    def _scored(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        np = need_numpy()
        names: list[Any] = [self._below.names()]
        scores: list[Any] = []
        for spaces, together, _, plain in self._below.runs():
            if together is None or len(spaces) == 1:
                scores += map(self._best, spaces)
            elif plain:
                scores.append(self._of(together))
            else:
                ends = np.cumsum([len(space.refs) for space in spaces])
                parts = np.split(self._of(together), ends[:-1])
                scores += map(self._best_of, spaces, parts)
        if self._staged:
            names.append(np.array(list(self._staged), dtype=np.int64))
            scores.append(np.array([self._of(rows).max() for rows in self._staged.values()], np.float32))
        all_names = names[0] if len(names) == 1 else np.concatenate(names)
        all_scores = (
            scores[0] if len(scores) == 1 else np.concatenate(scores) if scores else np.empty(0, np.float32)
        )
        if self._hidden:
            stay = ~np.isin(all_names, np.fromiter(self._hidden, np.int64))
            all_names, all_scores = all_names[stay], all_scores[stay]
        return all_names, all_scores

    def _best(self, space: Space) -> Any:
        np = need_numpy()
        parts = [self._of(chunk) for chunk in space.chunks]
        scores = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.float32)
        return self._best_of(space, scores)

    @staticmethod
    def _best_of(space: Space, scores: Any) -> Any:
        """Of each item the best of its rows."""
        return scores if space.starts is None else need_numpy().maximum.reduceat(scores, space.starts)

    def _of(self, rows: Matrix) -> Any:
        np = need_numpy()
        if self._distance != "l2":  # BLAS takes half of what einsum does
            if not _ALONE < rows.size < _SHARED:
                return rows @ self._question
            scores = np.empty(len(rows), np.float32)
            size = -(-len(rows) // -(-rows.size // _ALONE))
            for at in range(0, len(rows), size):
                np.dot(rows[at : at + size], self._question, out=scores[at : at + size])
            return scores
        difference = rows - self._question
        return -np.sqrt(np.einsum("ij,ij->i", difference, difference))

    def exact(self, name: int) -> float:
        """The item's score in float64. Raises KeyError if it has no vector."""
        if name not in self._exact:
            self.look_at([name])
        score = self._exact[name]
        if score is None:
            raise KeyError(name)
        return score

    def exact_at(self, places: NDArray[np.intp]) -> list[float]:
        """The scores of the items at these places of what `all` gives."""
        if not self._staged and not self._hidden:
            rows = self._below.rows_at(places)
            if rows is not None:
                return self._exactly(rows).tolist()
        names: list[int] = self.all()[0][places].tolist()
        self.look_at(names)
        return [self.exact(name) for name in names]

    def exact_or_none(self, name: int) -> float | None:
        """As `exact`; None for an item without vectors."""
        try:
            return self.exact(name)
        except KeyError:
            return None

    def look_at(self, names: Iterable[int]) -> None:
        """Works the scores of these out at once: for several, that takes little more than for one."""
        np = need_numpy()
        wanted = [name for name in names if name not in self._exact]
        self._exact.update(dict.fromkeys(wanted))
        if self._staged:
            for name in wanted:
                if name in self._staged:
                    self._exact[name] = float(self._exactly(self._staged[name]).max())
            wanted = [name for name in wanted if name >= 0]
        for space, some in self._below.located(np.array(wanted, dtype=np.int64)) if wanted else ():
            if space.starts is not None:
                for name in some.tolist():
                    rows = np.concatenate([row[None] for row in space.rows_of(name)])
                    self._exact[name] = float(self._exactly(rows).max())
                continue
            scores = self._exactly(space.take(space.refs.searchsorted(some)))
            self._exact.update(zip(some.tolist(), scores.tolist(), strict=True))

    def _exactly(self, rows: Matrix) -> Any:
        """Row by row, so that each gets the same number wherever it stands."""
        if self._distance == "l2":
            return -need_numpy().sqrt(((rows - self._question_exact) ** 2).sum(axis=1))
        return (rows * self._question_exact).sum(axis=1)

    def rows(self, name: int) -> list[Matrix]:
        """The item's vectors. Raises KeyError if it has none."""
        if name < 0:
            return list(self._staged[name])
        np = need_numpy()
        for space, _ in self._below.located(np.array([name], dtype=np.int64)):
            return space.rows_of(name)
        raise KeyError(name)
