"""The items that fit a query, in their order, and all that is known of each.

Here: which scores are needed, and which order they give. Not here: scores (`text/ranking.py`, `vectors/likeness.py`),
their sums (`fusion.py`, `blending.py`), refusals (`finding.py`), filters (`filters`), what is done with the best of them
(`drafts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perdure.storage.best_first import best_of_arrays, best_of_dict
from perdure.storage.blending import Blend, Fitting, OfText
from perdure.storage.contract import Again, ItemRow, Namespace
from perdure.storage.filters import Predicate
from perdure.storage.fusion import Fused, fused
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import value_if, value_of, written_in
from perdure.storage.overlay import Overlay
from perdure.storage.text.analyser import TextQuery
from perdure.storage.text.filer import Filer
from perdure.storage.text.ranking import Ranking, foretell
from perdure.storage.vectors.embedder import Embedder
from perdure.storage.vectors.likeness import Likeness
from perdure.store.base import RankBy

if TYPE_CHECKING:
    from perdure.storage.vectors.arrays import Matrix

__all__ = ["PAGE", "Asked", "Hit", "Question", "Ranked"]

PAGE: Final = 64
"""Rows that are fetched at first."""

_DROPPED: Final = 3  # rows that are fetched at first for each that is asked for, where a filter may drop some
_LARGEST_PAGE: Final = 256

_MEANING_ALONE: Final = (0.0, 1.0)


class Question:
    """What a search asks by meaning: its vector is fetched before the snapshot is taken.

    Attributes:
        text: the query.
        prefix: where it is asked: what is staged there has to be embedded, too.
        vector: set by whoever asks the model.
    """

    __slots__ = ("prefix", "text", "vector")

    def __init__(self, text: str, prefix: Namespace) -> None:
        self.text = text
        self.prefix = prefix
        self.vector = b""


class Asked(NamedTuple):
    """A query, as this store answers it."""

    text: str
    words: TextQuery | None
    filer: Filer | None
    question: Question | None
    embedder: Embedder | None
    rank_by: RankBy


class Hit(NamedTuple):
    """An item that fits. `name`: what its snapshot calls it."""

    name: int
    score: float
    row: ItemRow
    value: dict[str, Any]


class Ranked:
    """The answer to a query, within its snapshot's block.

    Args:
        view: the subtree.
        codec: decodes values.
        asked: the query.
        enough: how many of the best will be asked for; None: not known, any may be dropped.
        likely: how many will be asked for, most likely.
    """

    def __init__(
        self, view: Overlay, codec: ItemCodec, asked: Asked, enough: int | None, likely: int
    ) -> None:
        self._view = view
        self._codec = codec
        self._asked = asked
        self._likely = likely
        self._enough = enough
        self._ranking: Ranking | None = None
        self._likeness: Likeness | None = None
        self._text: dict[int, float] = {}
        self._fitting: Fitting | None = None
        rank_by = asked.rank_by
        blends = rank_by.recency is not None or rank_by.importance is not None
        if asked.words is not None and asked.filer is not None:
            # With more beside, an item of few words may still be among the best.
            wanted = enough if asked.question is None and not blends else None
            model = None if asked.question is None or asked.embedder is None else asked.embedder.name
            foretell(view, asked.filer, asked.words, wanted, model)
            self._ranking = Ranking(view, asked.filer, codec)
            self._text = self._ranking.scores(asked.words, wanted)
        if asked.question is not None and asked.embedder is not None:
            alone = asked.words is None and not blends and not rank_by.diversity and rank_by.rerank is None
            self._likeness = Likeness(view, asked.embedder, asked.question.vector, enough if alone else None)
        self._both = None
        if self._likeness is not None and self._ranking is not None:
            self._both = fused(self._text, self._likeness, rank_by.weights)
        self._blend = Blend(view, codec, rank_by, self._fit()) if blends else None

    def hits(self, fits: Predicate | None) -> Iterator[Hit]:
        """The items that meet the filter, best first; what the query says of phrases is looked at, too."""
        words = self._asked.words
        phrases = words.phrases if words is not None else ()
        codec, found = self._codec, 0
        size = min(max(self._likely, 1) * (1 if fits is None else _DROPPED), PAGE)
        best = self._best(size)
        while page := list(islice(best, size)):
            size = min(2 * size, _LARGEST_PAGE)  # where a filter drops many, many more will be looked at
            rows = self._view.rows([name for name, _ in page])
            for name, score in page:
                row = rows.get(name)  # None: it has expired meanwhile
                if row is not None and (not phrases or self._has_phrases(phrases, row)):
                    value = value_of(codec, row) if fits is None else value_if(codec, row, fits)
                    if value is not None:
                        found += 1
                        yield Hit(name, score, row, value)
        if self._likeness is not None and self._likeness.partial and found < (self._enough or 0):
            raise Again  # the nearest vectors, of which an index gave some, are of a few items

    def relevance(self, hit: Hit) -> float:
        """How good the hit is, from 0 to 1: its score, where that is such a sum; else what it would give to one."""
        if self._blend is not None or self._both is not None:
            return hit.score
        return sum(self._fit().shares(hit.name))

    def vectors(self, hit: Hit) -> list[Matrix]:
        """The item's vectors; none where meaning was not asked for."""
        if self._likeness is None:
            return []
        try:
            return self._likeness.rows(hit.name)
        except KeyError:
            return []

    def parts(self, hit: Hit) -> dict[str, Any]:
        """What `explain=True` tells of an item."""
        parts: dict[str, Any] = {"score": hit.score}
        if self._ranking is not None:
            parts["text"] = self._text.get(hit.name)
            parts["text_cut"] = self._ranking.cut
        if self._likeness is not None:
            parts["vector"] = self._likeness.exact_or_none(hit.name)
        if self._blend is not None:
            shares = self._blend.shares(hit.name)
            for share, part in (("text_share", self._ranking), ("vector_share", self._likeness)):
                if part is None:
                    del shares[share]
            return {**parts, **self._blend.facts(hit.name), **shares}
        if self._both is not None:
            parts["text_share"], parts["vector_share"] = self._both.shares(hit.name)
        return parts

    # -- order -------------------------------------------------------------------------------------------------------

    def _fit(self) -> Fitting:
        """How well items fit, from 0 to 1."""
        if self._fitting is None:
            if self._likeness is None:
                self._fitting = OfText(self._text)
            else:
                self._fitting = self._both or Fused({}, self._likeness, _MEANING_ALONE)
        return self._fitting

    def _best(self, likely: int) -> Iterator[tuple[int, float]]:
        newest_first, likeness = self._view.newest_first, self._likeness
        if self._blend is not None:
            return self._blend.best(likely)
        if likeness is None:
            return best_of_dict(self._text, likely, newest_first)
        if self._both is None:
            names, rough = likeness.all()
            exact = likeness.exact_at
            return best_of_arrays(names, rough, exact, likeness.near, likely, newest_first)
        both = self._both
        return best_of_arrays(both.names, both.rough, both.exact_at, both.near, likely, newest_first)

    def _has_phrases(self, phrases: tuple[tuple[str, ...], ...], row: ItemRow) -> bool:
        filer = self._asked.filer
        assert filer is not None  # noqa: S101 - there are words only where there is a filer
        texts = filer.texts(written_in(self._codec, row), row.paths)
        return all(filer.has_phrase(texts, phrase) for phrase in phrases)
