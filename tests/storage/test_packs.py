"""Small namespaces' vectors side by side: scores are those of each alone, whatever was written between."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.storage.vectors import packs
from perdure.storage.vectors.likeness import Likeness
from perdure.storage.vectors.packs import packed, runs, worth_packing
from perdure.storage.vectors.spaces import Space
from perdure.store.sqlite import SqliteStore

DIMS = 6
drawn = np.random.default_rng(4)
TABLE = drawn.standard_normal((300, DIMS))


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [TABLE[int(text)].tolist() for text in texts]


def space_of(number: int, items: int, each: int) -> Space:
    rows = drawn.standard_normal((items * each, DIMS), dtype="f4")
    refs = np.repeat(np.arange(items, dtype=np.int64) + number * 1000, each)
    return Space(refs, [rows[:7], rows[7:]] if len(rows) > 7 and number % 5 == 4 else [rows], items, 1)


shapes = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 3)), max_size=30)


@given(shapes)
def test_packing_changes_no_row_and_no_order(several: list[tuple[int, int]]) -> None:
    spaces = [space_of(number, *shape) for number, shape in enumerate(several)]
    together = packed(spaces)
    again = packed(together)
    for one in (together, again):
        assert [space.refs.tolist() for space in one] == [space.refs.tolist() for space in spaces]
        for before, after in zip(spaces, one, strict=True):
            assert np.array_equal(np.concatenate(before.chunks), np.concatenate(after.chunks))
        assert [space for run, _ in runs(one) for space in run] == one
        for run, rows in runs(one):
            if rows is not None:
                assert np.array_equal(rows, np.concatenate([space.chunks[0] for space in run]))
    small = [space for space in spaces if len(space.chunks) == 1 and len(space.refs)]
    assert sum(rows is not None for _, rows in runs(together)) <= max(1, len(spaces) - len(small) + 1)
    assert not worth_packing(together)


def test_a_pack_has_a_limit_and_large_ones_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_ROWS", 25)
    monkeypatch.setattr(packs, "_SMALL", 12)
    together = packed([space_of(5 * number, size, 1) for number, size in enumerate([10, 10, 10, 13, 10])])
    assert [None if rows is None else len(rows) for _, rows in runs(together)] == [20, 10, None, 10]


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_searches_of_many_namespaces_find_the_best_whatever_is_written_between(
    monkeypatch: pytest.MonkeyPatch, distance: Any
) -> None:
    monkeypatch.setattr(packs, "_MANY", 3)
    monkeypatch.setattr(packs, "_ROWS", 40)
    calls: list[int] = []
    real = Likeness._of

    def counted(self: Likeness, rows: Any) -> Any:
        calls.append(len(rows))
        return real(self, rows)

    monkeypatch.setattr(Likeness, "_of", counted)
    choose = random.Random(9)
    index: Any = {"embed": embed, "dims": DIMS, "fields": ["texts[*]"], "text": False, "distance": distance}
    model: dict[tuple[str, str], list[int]] = {}
    with SqliteStore.from_conn_string(":memory:", index=index) as store:
        for _ in range(60):
            for _ in range(choose.randrange(1, 6)):
                place = f"n{choose.randrange(12)}", f"k{choose.randrange(8)}"
                texts = [choose.randrange(300) for _ in range(choose.choice([1, 1, 1, 2]))]
                if choose.random() < 0.2:
                    store.delete(("all", place[0]), place[1])
                    model.pop(place, None)
                else:
                    store.put(("all", place[0]), place[1], {"texts": list(map(str, texts))})
                    model[place] = texts
            asked = choose.randrange(300)
            calls.clear()
            found = store.search(("all",), query=str(asked), limit=5)
            best = sorted((scored(texts, asked, distance) for texts in model.values()), reverse=True)[:5]
            assert [hit.score for hit in found] == pytest.approx(best, abs=1e-5)
            for hit in found:
                texts = model[hit.namespace[1], hit.key]
                assert hit.score == pytest.approx(scored(texts, asked, distance), abs=1e-5)
        spaces = len({space for space, _ in model})
        for _ in range(2):
            calls.clear()
            store.search(("all",), query="1", limit=5)
        assert len(calls) < spaces  # together
        assert sum(calls) == sum(map(len, model.values()))


def scored(texts: list[int], asked: int, distance: str) -> float:
    rows, question = TABLE[texts].astype("f4").astype("f8"), TABLE[asked].astype("f4").astype("f8")
    if distance == "l2":
        return float(-np.sqrt(((rows - question) ** 2).sum(axis=1)).min())
    return float((rows @ question / np.linalg.norm(rows, axis=1) / np.linalg.norm(question)).max())


def test_what_does_not_stand_side_by_side_is_not_taken_together() -> None:
    first, second, third = packed([space_of(5 * number, 3, 1) for number in range(3)])
    for several in ([first, third], [second, first], [first, second, first]):
        for run, rows in runs(several):
            assert np.array_equal(rows, np.concatenate([space.chunks[0] for space in run]))
