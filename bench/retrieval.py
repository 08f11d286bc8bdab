"""How well text search finds: `python dev.py bench --retrieval`.

Recall@10 and the mean reciprocal rank (of the first right answer among ten) over the set of `hamlet_set.py`, for the
analyser and the scores that Perdure ships and for other choices, so that the defaults have their reasons. A retriever is
any function `search(query, k) -> numbers of documents, best first`; `judged` takes all alike. Prints only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import fmean
from time import perf_counter
from typing import TypeAlias

from hamlet_set import Queries, Query, documents, queries
from text_index import Choice, Index

from perdure.storage.text.analyser import analyser

TEN = 10
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
        row.append((fmean(recall for recall, _ in row), fmean(rank for _, rank in row)))
        cells = [f"{f'{recall:.3f} / {rank:.3f}':>15}" for recall, rank in row]
        print(f"{choice.name:28}{''.join(cells)}{index.postings:>10,}{index.terms:>8,}{each:>12,.0f}")
    print(f"\n{speed()}")
    return 0


def figures(search: Search, asked: Queries) -> list[tuple[float, float]]:
    """Recall@10 and MRR of each kind of query."""
    return [judged(search, some) for some in asked.values()]


def judged(search: Search, some: Sequence[Query]) -> tuple[float, float]:
    """Recall@10 (of the right documents, or of ten if more are right) and the mean reciprocal rank."""
    recalls: list[float] = []
    ranks: list[float] = []
    for query in some:
        found = list(search(query.text, TEN))[:TEN]
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
