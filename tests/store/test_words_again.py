"""What is found by words and by meaning when items are written again, and beside what others have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import perdure
from databases import KINDS, QUICK
from perdure.storage.filter_tree import parse_filter
from perdure.storage.preselect import preselections
from perdure.store.face import BackendStore, codec_of
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")


@pytest.mark.parametrize(
    "texts",
    [
        ["tea tea milk", "tea milk milk", "tea milk honey"],
        ["tea milk", "milk tea", "tea tea"],
        ["tea milk", "salt pepper", "bread butter"],
        ["tea milk", "tea salt", "tea milk"],
        ["tea", "", "tea"],
    ],
    ids=lambda texts: " | ".join(texts),
)
def test_an_item_that_is_written_again_is_found_by_its_new_words_alone(
    texts: list[str], tmp_path: Path
) -> None:
    with perdure.connect(f"sqlite:///{tmp_path / 'a.db'}") as db:
        db.store.put(ME, "other", {"text": "tea milk salt bread"})
        for text in texts:
            db.store.put(ME, "k", {"text": text})
            with InMemoryStore() as fresh:
                fresh.put(ME, "other", {"text": "tea milk salt bread"})
                fresh.put(ME, "k", {"text": text})
                assert db.store.check() == []
                for word in ["tea", "milk", "honey", "salt", "pepper", "bread", "butter"]:
                    assert scores(db.store, ME, word) == scores(fresh, ME, word)


def scores(store: Any, prefix: tuple[str, ...], query: str) -> list[Any]:
    return [(item.namespace, item.key, item.score) for item in store.search(prefix, query=query)]


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_in_a_subtree_of_many_namespaces_nothing_of_others_is_found_or_counted(url: str) -> None:
    with perdure.connect(url) as db, perdure.connect("memory://") as alone:
        for n in range(40):
            for store in (db.store, alone.store):
                store.put(("a", f"n{n}"), "k", {"text": f"common {'rare' if n == 7 else 'word'}"})
            db.store.put(("b", f"n{n}"), "k", {"text": f"common {'rare' if n < 5 else 'word'} of others"})
        for query in ("rare", "common rare", "ra*", "common"):
            assert scores(db.store, ("a",), query) == scores(alone.store, ("a",), query)


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_an_item_without_vectors_gets_no_other_s_likeness(url: str) -> None:
    index: Any = {"embed": lambda texts: [[1.0, 0.5] for _ in texts], "dims": 2, "fields": ["text"]}
    backend = perdure.connect(url).backend
    plain = BackendStore(backend, codec_of({"fields": ["text"]}))
    for key in ("before", "behind"):  # the one stands before, the other behind what has a vector
        plain.put(ME, key, {"text": "tea"})
        if key == "before":
            BackendStore(backend, codec_of(index)).put(ME, "has", {"text": "milk"})

    found = BackendStore(backend, codec_of(index)).search(ME, query="tea", explain=True)

    parts = {item.key: item.explanation for item in found}
    assert {key: part and part["vector"] for key, part in parts.items()} == {
        "has": pytest.approx(1.0),
        "before": None,
        "behind": None,
    }
    backend.close()


def test_a_number_that_others_may_read_differently_is_looked_for_with_a_margin() -> None:
    for number in (0.1, -0.1, 1e300, 5e-324, 2**53 + 1, 10**400):
        ((least, greatest),) = preselections(parse_filter({"n": number}))[0].ranges
        assert least <= number <= greatest
        assert least < greatest
    assert preselections(parse_filter({"n": 7}))[0].ranges == ((7, 7),)
