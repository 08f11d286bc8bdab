"""How well text search finds: `python dev.py bench --retrieval`.

Recall@10 and the mean reciprocal rank (of the first right answer among ten) over the set of `hamlet_set.py`, for the
analyser and the scores that Perdure ships and for other choices, so that the defaults have their reasons. A retriever is
any function `search(query, k) -> numbers of documents, best first`; `judged` takes all alike.

Then the same for a whole store, by words, by meaning and by both, with vectors that are made here (`meanings.py`), and what
`neighbours=` and `diversity=` do to the answers. Prints only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from statistics import fmean
from time import perf_counter
from typing import Any, Literal, TypeAlias

from hamlet_set import Document, Queries, Query, documents, queries
from meanings import DIMS, Grams, Latent
from text_index import Choice, Index

from perdure.storage.text.analyser import analyser
from perdure.store.base import RankBy
from perdure.store.memory import InMemoryStore

TEN = 10
PLAY = ("play",)
Search: TypeAlias = Callable[[str, int], Sequence[int]]

CHOICES = (
    Choice("as shipped"),
    Choice("stop words in no document", stop_words="nowhere"),
    Choice("stop words like others", stop_words="everywhere"),
    Choice("stop words without length", stop_words="weightless"),
    Choice("no stems", stems=False),
    Choice("b 0.75", b=0.75),
    Choice("b 0.4", b=0.4),
    Choice("k1 1.2", k1=1.2),
    Choice("k1 1.2, b 0.75", k1=1.2, b=0.75),
    Choice("least 0 (plain BM25)", least=0),
    Choice("least 0, b 0.75", least=0, b=0.75),
    Choice("least 0, b 0.4", least=0, b=0.4),
    Choice("least 0, k1 1.2", least=0, k1=1.2),
    Choice("least 0, k1 1.2, b 0.75", least=0, k1=1.2, b=0.75),
    Choice("least 0, no stems", least=0, stems=False),
)


def main() -> int:
    """0: a figure is no test."""
    play = documents()
    asked = queries(play)
    print(
        f"{len(play)} speeches; {', '.join(f'{len(some)} {kind}' for kind, some in asked.items())}; ", end=""
    )
    print(f"{analyser().name}.\n")
    heads = [f"{kind:>15}" for kind in [*asked, "mean"]]
    print(f"{'recall@10 / MRR':28}{''.join(heads)}{'postings':>10}{'terms':>8}{'µs a query':>12}")
    for choice in CHOICES:
        index = Index(choice, [document.value for document in play])
        began = perf_counter()
        row = figures(index.search, asked)
        each = (perf_counter() - began) / sum(map(len, asked.values())) * 1e6
        print(f"{choice.name:28}{cells(row)}{index.postings:>10,}{index.terms:>8,}{each:>12,.0f}")
    print(f"\n{speed()}\n")
    by_meaning(play, asked)
    return 0


MODES: tuple[Literal["text", "vector", "hybrid"], ...] = ("text", "vector", "hybrid")
DIVERSITY = 0.3


def by_meaning(play: list[Document], asked: Queries) -> None:
    """A store with vectors: as it answers by default, and with what can be asked for besides."""
    texts = [json.dumps(document.value, ensure_ascii=False, sort_keys=True) for document in play]
    print(
        f"A store of the same speeches, with vectors of {DIMS} components made here: no trained model (meanings.py)."
    )
    print(
        f"beside: ten items and the one before and behind each, up to 30. ten: the first ten of these. apart: {DIVERSITY}.\n"
    )
    print(f"{'recall@10 / MRR':28}{''.join(f'{kind:>15}' for kind in [*asked, 'mean'])}")
    for name, model in (("latent", Latent(texts)), ("grams", Grams(texts))):
        index: Any = {"embed": model, "dims": DIMS}
        with InMemoryStore(index=index) as store:
            store.put_many([(PLAY, str(document.number), document.value) for document in play])
            plain = {mode: answers(store, asked, f"{name}, {mode}", mode=mode) for mode in MODES}
            answers(store, asked, f"{name}, hybrid, 3 to 1", mode="hybrid", weights=(3, 1))
            for mode in MODES:
                answers(store, asked, f"{name}, {mode}, beside", TEN * 3, mode=mode, neighbours=1)
                answers(store, asked, f"{name}, {mode}, ten", mode=mode, neighbours=1)
                answers(store, asked, f"{name}, {mode}, apart", rank_by=RankBy(mode, diversity=DIVERSITY))
        behind = [
            f"{kind} ({figure})"
            for kind, both, text, vector in zip(
                asked, plain["hybrid"], plain["text"], plain["vector"], strict=True
            )
            for number, figure in enumerate(("recall", "MRR"))
            if both[number] < max(text[number], vector[number])
        ]
        print(f"{name}: hybrid is behind the better of both in {', '.join(behind) or 'nothing'}.\n")


def answers(
    store: InMemoryStore, asked: Queries, name: str, most: int = TEN, **how: Any
) -> list[tuple[float, float]]:
    """Prints how good a store's answers are, and gives the figures: of so many items at most."""

    def found(query: str, k: int) -> list[int]:
        return [int(item.key) for item in store.search(PLAY, query=query, limit=k, **how)]

    row = [judged(found, some, most) for some in asked.values()]
    print(f"{name:28}{cells(row)}", flush=True)
    return row


def cells(row: list[tuple[float, float]]) -> str:
    """The figures, and their mean."""
    mean = (fmean(recall for recall, _ in row), fmean(rank for _, rank in row))
    return "".join(f"{f'{recall:.3f} / {rank:.3f}':>15}" for recall, rank in [*row, mean])


def figures(search: Search, asked: Queries) -> list[tuple[float, float]]:
    """Recall@10 and MRR of each kind of query."""
    return [judged(search, some) for some in asked.values()]


def judged(search: Search, some: Sequence[Query], most: int = TEN) -> tuple[float, float]:
    """Recall@10 (of the right documents, or of ten if more are right) and the mean reciprocal rank.

    `most`: of so many that were found, where ten were asked for and others came along.
    """
    recalls: list[float] = []
    ranks: list[float] = []
    for query in some:
        found = list(search(query.text, TEN))[:most]
        recalls.append(len(query.right.intersection(found)) / min(len(query.right), TEN))
        ranks.append(next((1 / rank for rank, number in enumerate(found, 1) if number in query.right), 0.0))
    return fmean(recalls), fmean(ranks)


def speed() -> str:
    """What the analyser takes, best of five, in megabytes of the play a second."""
    texts = [document.text for document in documents()]
    size = sum(map(len, texts)) / 1e6
    best = float("inf")
    for _ in range(6):  # the first one fills the memory of words
        began = perf_counter()
        for text in texts:
            analyser().document([text])
        best = min(best, perf_counter() - began)
    return f"The analyser reads {size / best:.1f} MB/s, speech by speech."


if __name__ == "__main__":
    sys.exit(main())
