"""Namespaces taken together: rows and items are those of each, in order; nothing is kept that is no longer so."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.storage.contract import Namespace, Snapshot, VectorSpace
from perdure.storage.vectors import likeness, packs
from perdure.storage.vectors import spaces as spaces_module
from perdure.storage.vectors.likeness import Likeness
from perdure.storage.vectors.packs import packed
from perdure.storage.vectors.spaces import Space, Spaces
from perdure.storage.vectors.subtrees import Remembered, Subtree
from perdure.store.memory import InMemoryStore

DIMS = 3
drawn = np.random.default_rng(3)


def space_of(number: int, items: int, each: int, pieces: int) -> Space:
    rows = drawn.standard_normal((items * each, DIMS), dtype="f4")
    refs = np.repeat(np.arange(items, dtype=np.int64) + (number << 32), each)
    return Space(refs, np.array_split(rows, min(pieces, items)), items, 1)


shapes = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from([1, 1, 1, 2]), st.sampled_from([1, 1, 2])), max_size=12
)


@given(shapes, st.booleans(), st.randoms(use_true_random=False))
def test_items_and_their_rows_are_those_of_each_namespace_in_order(
    several: list[tuple[int, int, int]], together: bool, choose: Any
) -> None:
    made = [space_of(number, *shape) for number, shape in enumerate(several)]
    choose.shuffle(made)  # namespaces stand by name, not by number
    subtree = Subtree(packed(made) if together else made)

    names = [ref for space in made for ref in space.names().tolist()]
    assert subtree.names().tolist() == names
    rows = {ref: np.stack(space.rows_of(ref)) for space in made for ref in space.names().tolist()}
    places = np.array(choose.sample(range(len(names)), choose.randrange(len(names) + 1)), dtype=np.intp)
    taken = subtree.rows_at(places)
    if not len(places) or any(each > 1 for _, each, _ in several):
        assert taken is None
    else:
        assert taken is not None
        assert np.array_equal(taken, np.concatenate([rows[names[place]] for place in places]))
    asked = [names[place] for place in places] + [-5, 7 << 40]
    located = {
        ref: space for space, some in subtree.located(np.array(asked, np.int64)) for ref in some.tolist()
    }
    assert sorted(located) == sorted(asked[:-2])
    for ref, space in located.items():
        assert np.array_equal(np.stack(space.rows_of(ref)), rows[ref])
    longest = max([0.0, *(float(abs(row).max()) for row in rows.values())])
    assert subtree.longest() == subtree.longest() == longest


def wanted_of(*pairs: tuple[int, int]) -> list[VectorSpace]:
    return [VectorSpace(number, 2, changed) for number, changed in pairs]


def test_a_subtree_is_remembered_as_long_as_its_namespaces_are_as_they_were() -> None:
    known = Remembered()
    one, other = Subtree([]), Subtree([])
    wanted = wanted_of((1, 5), (2, 6))
    known.keep(("a",), wanted, one)
    known.keep(("b",), wanted_of((3, 7)), other)
    assert known.get(("a",), wanted) is known.get(("a",), list(wanted)) is one
    assert known.get(("a",), wanted_of((1, 5), (2, 7))) is None
    assert known.get(("a",), wanted_of((1, 5))) is None
    assert known.get(("c",), wanted) is None
    known.forget([9, 2])
    assert known.get(("a",), wanted) is None
    assert known.get(("b",), wanted_of((3, 7))) is other
    for number in range(20):
        known.keep((str(number),), wanted, one)
    assert len(known._kept) == 8


class Now:
    """A snapshot of namespaces, each with two vectors."""

    def __init__(self, spaces: list[VectorSpace]) -> None:
        self.spaces = spaces
        self.read = 0

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        return self.spaces

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        self.read += 1
        changed = next(one.changed for one in self.spaces if one.space == space)
        row = np.full(DIMS, changed, np.float32).tobytes()
        return [(ref, row) for ref in (space << 32, (space << 32) + 1) if ref >= start]


def below(kept: Spaces, spaces: list[VectorSpace]) -> tuple[Subtree, int]:
    now = Now(spaces)
    return kept.below(cast("Snapshot", now), ("a",)), now.read


def firsts(subtree: Subtree) -> list[float]:
    return [float(space.row(0)[0]) for space in subtree.spaces]


@pytest.mark.parametrize("many", [3, 100], ids=["packed", "each alone"])
def test_what_is_asked_for_again_is_the_same_and_what_changed_is_not(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(packs, "_MANY", many)
    kept = Spaces("m", DIMS, angles=False, limit=1 << 20)
    first, read = below(kept, wanted_of((1, 5), (2, 6), (3, 7)))
    assert (firsts(first), read) == ([5.0, 6.0, 7.0], 3)
    again, read = below(kept, wanted_of((1, 5), (2, 6), (3, 7)))
    assert again is first
    assert read == 0
    later, _ = below(kept, wanted_of((1, 5), (2, 9), (3, 7)))
    assert firsts(later) == [5.0, 9.0, 7.0]
    fewer, read = below(kept, wanted_of((1, 5), (3, 7)))
    assert (firsts(fewer), read) == ([5.0, 7.0], 0)
    old, _ = below(kept, wanted_of((1, 5), (2, 6), (3, 7)))  # a snapshot from before
    assert firsts(old) == [5.0, 6.0, 7.0]
    now, read = below(kept, wanted_of((1, 5), (2, 9), (3, 7)))
    assert (firsts(now), read) == ([5.0, 9.0, 7.0], 0)


def test_nothing_is_kept_in_memory_beyond_the_limit() -> None:
    each = 2 * (4 * DIMS + 8)
    kept = Spaces("m", DIMS, angles=False, limit=3 * each)
    below(kept, wanted_of((1, 5), (2, 6), (3, 7)))
    kept.below(cast("Snapshot", Now(wanted_of((1, 5), (2, 6), (3, 7)))), ("a",))
    matrix = weakref.ref(kept._kept[1].chunks[0])
    below(kept, wanted_of((4, 8)))
    gc.collect()
    assert matrix() is None
    beyond, _ = below(kept, wanted_of((1, 5), (2, 6), (3, 7), (4, 8)))
    assert firsts(beyond) == [5.0, 6.0, 7.0, 8.0]
    assert not kept._subtrees._kept


@pytest.mark.parametrize("distance", ["cosine", "inner_product"])
@pytest.mark.parametrize("chunk", [7, 4096])
def test_products_in_pieces_are_the_same_products(
    monkeypatch: pytest.MonkeyPatch, distance: Any, chunk: int
) -> None:
    monkeypatch.setattr(spaces_module, "_CHUNK", chunk)
    table = drawn.standard_normal((90, 5))

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [table[int(text)].tolist() for text in texts]

    index: Any = {"embed": embed, "dims": 5, "fields": ["text"], "text": False, "distance": distance}
    sizes: list[int] = []
    real = Likeness._of

    def seen(self: Likeness, rows: Any) -> Any:
        sizes.append(rows.size)
        return real(self, rows)

    monkeypatch.setattr(Likeness, "_of", seen)
    with InMemoryStore(index=index) as store:
        store.put_many([(("me",), f"k{n}", {"text": str(n)}) for n in range(80)])
        whole = [(hit.key, hit.score) for hit in store.search(("me",), query="85", limit=80)]
        for alone, shared in ((1, 1000), (33, 1000), (33, 60)):
            monkeypatch.setattr(likeness, "_ALONE", alone)
            monkeypatch.setattr(likeness, "_SHARED", shared)
            assert [(hit.key, hit.score) for hit in store.search(("me",), query="85", limit=80)] == whole
    assert max(sizes) > 33
