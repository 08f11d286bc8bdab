"""A search with a query: the items that fit it by their words, by their meaning, or by both; best first.

Here: what is asked, every refusal, and from scores to items. Not here: scores (`text/ranking.py`,
`vectors/likeness.py`), their sum (`fusion.py`), searches without a query (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, cast

from perdure.errors import QueryError
from perdure.storage.best_first import best_of_arrays, best_of_dict
from perdure.storage.contract import ItemRow, Namespace, Snapshot
from perdure.storage.filters import compile_filter
from perdure.storage.fusion import Fused, fused
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of, written_in
from perdure.storage.listing import Answer
from perdure.storage.overlay import Overlay
from perdure.storage.staging import Layer
from perdure.storage.text.analyser import TextQuery
from perdure.storage.text.filer import Filer
from perdure.storage.text.ranking import Ranking
from perdure.storage.vectors.embedder import Embedder
from perdure.storage.vectors.likeness import Likeness
from perdure.store.base import SearchItem, SearchOp
from perdure.store.base.ops import MODES, RankBy

__all__ = ["Question", "finding"]

_PAGE: Final = 64  # rows fetched at once


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


class _Asked(NamedTuple):
    """A query, as this store answers it."""

    words: TextQuery | None
    filer: Filer | None
    question: Question | None
    embedder: Embedder | None
    rank_by: RankBy


class _Hit(NamedTuple):
    score: float
    row: ItemRow
    value: dict[str, Any]
    parts: dict[str, Any] | None


def finding(
    codec: ItemCodec, op: SearchOp, prefix: Namespace, limit: int, offset: int
) -> tuple[Answer, Question | None]:
    """How a search with a query is answered, and what the model has to be asked before.

    Raises:
        QueryError: a filter, a query or a mode that cannot be right, or a store that has nothing to search by.
    """
    asked = _asked(codec, op, prefix)
    fits = compile_filter(op.filter) if op.filter else None
    drops = fits is not None or (asked.words is not None and bool(asked.words.phrases))
    enough = None if drops else limit + offset

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[SearchItem]:
        if limit == 0:
            return []
        hits = _hits(Overlay(snapshot, layers, prefix), codec, asked, enough, limit + offset)
        fitting = (hit for hit in hits if fits is None or fits(hit.value))
        return [
            search_item_of(hit.row, hit.value, hit.score, explanation=hit.parts)
            for hit in islice(fitting, offset, offset + limit)
        ]

    return answer, asked.question


def _asked(codec: ItemCodec, op: SearchOp, prefix: Namespace) -> _Asked:
    query, rank_by = op.query, op.rank_by or RankBy()
    if not isinstance(query, str):
        raise QueryError(f"query={query!r} is a {type(query).__name__}; give a string.", part="query")
    _check(rank_by)
    mode, filer, embedder = rank_by.mode, codec.filer, codec.embedder
    if filer is None and embedder is None:
        why = (
            "is encrypted, and was opened without plaintext="
            if codec.cipher is not None
            else "was opened without a text index"
        )
        raise QueryError(
            f"query={query[:80]!r}: this store {why}, so there are no words to search by. Use filter=.",
            part="query",
        )
    if mode is None:
        mode = "hybrid" if filer and embedder else "text" if filer else "vector"
    if mode != "vector" and filer is None:
        raise QueryError(f"mode={mode!r}: this store was opened without a text index.", part="mode")
    if mode != "text" and embedder is None:
        raise QueryError(
            f"mode={mode!r}: this store has no embedding model. Open it with index={{'embed': ..., 'dims': ...}}, or"
            " search with mode='text'.",
            part="mode",
        )
    words = filer.query(query) if filer is not None and mode != "vector" else None
    question = Question(query, prefix) if mode != "text" else None
    return _Asked(words, filer, question, embedder, rank_by)


def _check(rank_by: RankBy) -> None:
    if rank_by.mode is not None and rank_by.mode not in MODES:
        raise QueryError(
            f"mode={rank_by.mode!r}: give one of {', '.join(map(repr, MODES))}, or None.", part="mode"
        )
    weights = cast("object", rank_by.weights)
    if not isinstance(weights, tuple | list) or not _weigh(cast("list[object]", list(weights))):  # pyright: ignore[reportUnknownArgumentType] - of whatever
        raise QueryError(
            f"weights={weights!r}: give two numbers that are not negative and not both 0: for words, and for meaning.",
            part="weights",
        )


def _weigh(both: list[object]) -> bool:
    """Whether these can be weights."""
    numbers = [number for number in both if isinstance(number, int | float) and not isinstance(number, bool)]
    return (
        len(numbers) == len(both) == 2
        and all(0 <= number < float("inf") for number in numbers)
        and any(numbers)
    )


def _hits(view: Overlay, codec: ItemCodec, asked: _Asked, enough: int | None, likely: int) -> Iterator[_Hit]:
    likeness = ranking = None
    text: dict[int, float] = {}
    if asked.words is not None and asked.filer is not None:
        ranking = Ranking(view, asked.filer, codec)
        # With vectors beside, an item of few words may still be among the best.
        text = ranking.scores(asked.words, enough if asked.question is None else None)
    if asked.question is not None and asked.embedder is not None:
        likeness = Likeness(view, asked.embedder, asked.question.vector)
    if likeness is None:
        best = best_of_dict(text, likely, view.newest_first)
        both = None
    elif ranking is None:
        names, rough = likeness.all()
        exact = likeness.exact
        best = best_of_arrays(
            names, rough.astype("f8"), lambda name, _: exact(name), likeness.near, likely, view.newest_first
        )
        both = None
    else:
        both = fused(text, likeness, asked.rank_by.weights)
        best = best_of_arrays(both.names, both.rough, both.exact, both.near, likely, view.newest_first)
    for name, score, row in _with_rows(view, best, likely):
        if asked.words is not None and asked.words.phrases and not _has_phrases(asked, codec, row):
            continue
        value = codec.decode(row.namespace, row.key, row.value or b"")
        parts = _parts(name, score, text, likeness, both, ranking) if asked.rank_by.explain else None
        yield _Hit(score, row, value, parts)


def _has_phrases(asked: _Asked, codec: ItemCodec, row: ItemRow) -> bool:
    assert asked.filer is not None  # noqa: S101 - there are words only where there is a filer
    assert asked.words is not None  # noqa: S101
    texts = asked.filer.texts(written_in(codec, row), row.paths)
    return all(asked.filer.has_phrase(texts, phrase) for phrase in asked.words.phrases)


def _with_rows(
    view: Overlay, best: Iterator[tuple[int, float]], likely: int
) -> Iterator[tuple[int, float, ItemRow]]:
    """With their rows, fetched by pages; items that are gone meanwhile (expired) are left out."""
    while page := list(islice(best, min(max(likely, 1), _PAGE))):
        rows = view.rows([name for name, _ in page])
        for name, score in page:
            row = rows.get(name)
            if row is not None:
                yield name, score, row


def _parts(
    name: int,
    score: float,
    text: dict[int, float],
    likeness: Likeness | None,
    both: Fused | None,
    ranking: Ranking | None,
) -> dict[str, Any]:
    """What `explain=True` tells of an item."""
    parts: dict[str, Any] = {"score": score}
    if ranking is not None:
        parts["text"] = text.get(name)
        parts["text_cut"] = ranking.cut
    if likeness is not None:
        parts["vector"] = likeness.exact_or_none(name)
    if both is not None:
        parts["text_share"], parts["vector_share"] = both.shares(name)
    return parts
