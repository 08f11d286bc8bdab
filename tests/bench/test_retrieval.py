"""Search keeps finding: the retrieval set is sound, and what ships does not fall behind what was measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the source distribution has no benchmarks")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's module; its neighbours are imported by their bare names."""
    monkeypatch.syspath_prepend(str(BENCH))
    import retrieval

    yield retrieval
    for name in ("retrieval", "hamlet_set", "text_index", "meanings"):
        sys.modules.pop(name, None)


def test_every_query_has_an_answer_and_is_drawn_the_same_again(bench: Any) -> None:
    play = bench.documents()
    asked = bench.queries(play)

    assert len(asked["questions"]) >= 80
    assert len({query.text for query in asked["questions"]}) == len(asked["questions"])
    assert all(query.right for some in asked.values() for query in some)
    assert asked == bench.queries(play)


def test_a_perfect_retriever_scores_one_and_a_blind_one_nothing(bench: Any) -> None:
    some = bench.queries(bench.documents())["questions"]
    right = {query.text: sorted(query.right) for query in some}

    assert bench.judged(lambda query, k: right[query][:k], some) == (1.0, 1.0)
    assert bench.judged(lambda query, k: [], some) == (0.0, 0.0)
    assert bench.judged(lambda query, k: [-1, *right[query]], some)[1] == 0.5


def test_of_what_came_along_only_what_was_asked_for_counts(bench: Any) -> None:
    query = bench.Query("asked", frozenset({7}))
    found = [*range(100, 115), 7]

    assert bench.judged(lambda text, k: found, [query]) == (0.0, 0.0)
    assert bench.judged(lambda text, k: found, [query], 30) == (1.0, 1 / 16)


@pytest.mark.parametrize("kind", ["Latent", "Grams"])
def test_vectors_made_here_are_the_same_again_and_know_their_own_texts(bench: Any, kind: str) -> None:
    texts = [document.text for document in bench.documents()[:300]]
    model, again = (getattr(bench, kind)(texts) for _ in range(2))

    rows = np.array(model(texts))

    assert rows.shape == (300, bench.DIMS)
    assert np.allclose(abs(rows), abs(np.array(again(texts))), atol=1e-6)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    told = lengths[:, 0] > 0  # a speech of one very frequent word says nothing
    alike = (rows / np.where(lengths, lengths, 1)) @ (rows / np.where(lengths, lengths, 1)).T
    assert (alike.argmax(axis=1)[told] == np.arange(300)[told]).mean() > 0.95
    assert not np.any(model(["zyzzyva", ""])) or kind == "Grams"


def test_what_ships_finds_what_it_found(bench: Any) -> None:
    play = bench.documents()
    asked = bench.queries(play)

    index = bench.Index(bench.Choice("as shipped"), [document.value for document in play])

    floors = {"questions": 0.55, "fragments": 0.97, "who": 0.95, "scene": 0.86, "small words": 0.91}
    found = {kind: bench.judged(index.search, asked[kind])[0] for kind in floors}
    assert {kind: recall for kind, recall in found.items() if recall < floors[kind]} == {}
