"""Search by words where there are many items: what is left unread changes no answer, and a cut is told of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from databases import KINDS, url_by
from perdure import connect
from perdure.storage.text import ranking
from perdure.store.face import BackendStore
from perdure.testing import FakeClock
from store.test_text_search import scored

drawn = random.Random(11)
WORDS = [f"{a}{b}ro" for a in "bdfgklmnprst" for b in "aeiou"]
WEIGHTS = [1 / (place + 1) for place in range(len(WORDS))]
ITEMS: list[Any] = [
    (
        (("a", f"n{n % 30}"), f"k{n}"),
        {"text": " ".join(drawn.choices(WORDS, WEIGHTS, k=drawn.randrange(1, 12)))},
        None,
    )
    for n in range(600)
]
QUERIES = [" ".join(drawn.choices(WORDS, k=5)) for _ in range(20)] + [
    " ".join(drawn.choices(WORDS, WEIGHTS, k=5)) for _ in range(20)
]


@pytest.fixture(params=KINDS, scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendStore]:
    url_of = url_by(tmp_path_factory.mktemp("many"), lambda: request.getfixturevalue("one_schema"))
    with connect(url_of(request.param)) as db:
        opened = db.store
        opened.put_many([(*place, value) for place, value, _ in ITEMS])
        yield opened


@pytest.mark.parametrize("prefix", [(), ("a",), ("a", "n3")])
@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_the_best_are_the_best_of_all_though_most_postings_stay_unread(
    monkeypatch: pytest.MonkeyPatch, store: BackendStore, prefix: tuple[str, ...], limit: int
) -> None:
    monkeypatch.setattr(ranking, "EXACT", 5)
    for query in QUERIES:
        best = sorted(scored(ITEMS, prefix, query).values(), reverse=True)[:limit]
        found = store.search(prefix, query=query, limit=limit, explain=True)
        assert [item.score for item in found] == pytest.approx(best, abs=1e-9)
        assert not any(item.explanation["text_cut"] for item in found)


def test_words_that_cannot_matter_are_not_read(monkeypatch: pytest.MonkeyPatch, store: BackendStore) -> None:
    monkeypatch.setattr(ranking, "EXACT", 5)
    read: list[str] = []
    real = ranking.Ranking._read

    def counted(self: Any, terms: tuple[str, ...]) -> Any:
        read.extend(terms)
        return real(self, terms)

    monkeypatch.setattr(ranking.Ranking, "_read", counted)
    rare = min(WORDS, key=lambda word: abs(sum(word in value["text"] for _, value, _ in ITEMS) - 4))
    common = WORDS[0]
    store.put(("a", "n0"), "both", {"text": f"{rare} {common}"})
    try:
        (first,) = store.search((), query=f"{common} {rare}", limit=1)
    finally:
        store.delete(("a", "n0"), "both")
    assert rare in first.value["text"]
    assert len(read) == 1  # the rare one; of the other only the postings of those that have it


def test_a_cut_is_told_of_and_what_is_found_has_its_whole_score(
    monkeypatch: pytest.MonkeyPatch, store: BackendStore
) -> None:
    monkeypatch.setattr(ranking, "EXACT", 5)
    monkeypatch.setattr(ranking, "CUT", 20)
    cut = 0
    for query in QUERIES:
        expected = {place[1]: score for place, score in scored(ITEMS, (), query).items()}
        found = store.search((), query=query, limit=10, explain=True)
        assert {item.key: item.score for item in found} == pytest.approx(
            {item.key: expected[item.key] for item in found}, abs=1e-9
        )
        cut += any(item.explanation["text_cut"] for item in found)
    assert cut


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_what_has_expired_takes_no_place_among_the_best(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(ranking, "EXACT", 1)
    with FakeClock() as clock, connect(url, ttl={}) as db:
        store = db.store
        for n in range(8):
            store.put(("a",), f"short{n}", {"text": "rare common"}, ttl=1)
        for n in range(8):
            store.put(("a",), f"long{n}", {"text": "common and more words"})
        clock.advance(seconds=61)
        found = store.search(("a",), query="rare common", limit=8)
        assert {item.key for item in found} == {f"long{n}" for n in range(8)}
