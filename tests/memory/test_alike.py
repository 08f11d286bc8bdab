"""Which texts and vectors are near-duplicates: the groups that a plain comparison of all pairs gives."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from perdure.memory.alike_vectors import groups_by_vectors
from perdure.memory.alike_words import common, groups_by_words, likeness


def plain_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The longest common subsequence by the textbook's table."""
    row = [0] * (len(other) + 1)
    for a in one:
        before = row
        row = [0]
        for place, b in enumerate(other):
            row.append(before[place] + 1 if a == b else max(before[place + 1], row[place]))
    return row[-1]


def plain_groups(size: int, alike: Any) -> list[list[int]]:
    """As promised, by comparing all pairs; `alike` is asked of the group's first and another."""
    taken: set[int] = set()
    found: list[list[int]] = []
    for first in range(size):
        if first not in taken:
            group = [first, *(n for n in range(first + 1, size) if n not in taken and alike(first, n))]
            taken.update(group)
            if len(group) > 1:
                found.append(group)
    return found


terms = st.lists(st.sampled_from("abcdef"), max_size=9)
variants = st.lists(terms, max_size=12).flatmap(
    lambda some: st.lists(
        st.sampled_from([[], *some]).flatmap(
            lambda text: st.tuples(st.just(text), st.integers(0, max(len(text), 1)), st.sampled_from(["", "a", "z"]))
        ).map(lambda one: [*one[0][: one[1]], *one[2], *one[0][one[1] :]]),
        max_size=14,
    )
)  # fmt: skip


@given(terms, terms)
def test_the_longest_common_sequence_is_the_textbook_s(one: list[str], other: list[str]) -> None:
    assert common(one, other) == common(other, one) == plain_common(one, other)


@given(variants, st.sampled_from([0.1, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0]))
@settings(max_examples=400)
def test_words_group_as_if_all_pairs_were_compared(texts: list[list[str]], above: float) -> None:
    wanted = plain_groups(
        len(texts), lambda a, b: bool(texts[a]) and likeness(texts[a], texts[b]) >= above - 1e-9
    )

    found = groups_by_words(texts, above)

    assert [[place for place, _ in group] for group in found] == wanted
    for group in found:
        for place, share in group:
            assert share == likeness(texts[group[0][0]], texts[place])


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("ada likes tea", "ada likes tea", 1.0),
        (
            "ada likes green tea a lot in the early morning",
            "ada likes green tea a lot in the early cold morning",
            10 / 11,
        ),
        ("bob calls ada", "ada calls bob", 1 / 5),
        ("tea", "milk", 0.0),
        ("", "tea", 0.0),
        ("no no no", "no", 1 / 3),
    ],
)
def test_how_alike_texts_are(one: str, other: str, share: float) -> None:
    assert likeness(one.split(), other.split()) == pytest.approx(share)


def test_there_are_no_chains() -> None:
    """The second is like the first, the third like the second only."""
    texts = [list("abcdefghij"), list("bcdefghijk"), list("cdefghijkl")]

    assert [[place for place, _ in group] for group in groups_by_words(texts, 0.8)] == [[0, 1]]


def test_ten_thousand_texts_of_one_template_take_seconds() -> None:
    """A comparison of all pairs would be fifty million."""
    template = [f"c{n}" for n in range(30)]
    texts = [[*template[:9], f"x{n}", *template[9:], f"y{n}"] for n in range(10_000)]

    assert groups_by_words(texts, 0.9) == []


# ---- vectors


def packed(*rows: Sequence[float]) -> bytes:
    return b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)


directions = st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2)).map(
    lambda v: [float(x) for x in v]
)


@given(
    st.lists(st.none() | st.lists(directions, min_size=1, max_size=2), max_size=20),
    st.sampled_from([0.1, 0.5, 0.9, 0.99, 1.0]),
    st.data(),
)
@settings(max_examples=300)
def test_vectors_group_as_if_all_pairs_were_compared(
    items: list[list[list[float]] | None], above: float, data: Any
) -> None:
    labels = [data.draw(st.integers(0, 1)) for _ in items]

    def unit(row: Any) -> Any:
        length = np.sqrt((row * row).sum())
        return row / length if length else row

    def direction(item: Any) -> Any:
        total = np.sum([unit(np.array(row, dtype=np.float64)) for row in item], axis=0)
        return unit(total) if np.abs(total).max() > 1e-9 else 0 * total

    def cosine(a: int, b: int) -> float:
        return float((direction(items[a]) * direction(items[b])).sum())

    def alike(a: int, b: int) -> bool:
        if items[a] is None or items[b] is None or labels[a] != labels[b]:
            return False
        both = direction(items[a]), direction(items[b])
        return all(one.any() for one in both) and cosine(a, b) >= above - 1e-6

    wanted = plain_groups(len(items), alike)
    doubtful = any(
        items[a] is not None and items[b] is not None and abs(cosine(a, b) - above) < 1e-5 and above < 1
        for a in range(len(items))
        for b in range(a)
    )

    found = groups_by_vectors([None if i is None else packed(*i) for i in items], 3, above - 1e-6, labels)

    if not doubtful:
        assert [[place for place, _ in group] for group in found] == wanted


def test_an_item_whose_texts_mean_the_opposite_of_each_other_is_like_nothing() -> None:
    opposites = packed([0.1, 0.7, 0.3], [-0.3, -2.1, -0.9])  # of which rounding leaves some 1e-8

    assert groups_by_vectors([opposites, opposites], 3, 0.1, [0, 0]) == []


def test_more_rows_than_a_block_and_many_that_are_equal() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(40, 8))
    vectors = [
        packed([float(x) for x in rows[n % 40] + generator.normal(size=8) * 1e-4]) for n in range(1200)
    ]

    found = groups_by_vectors(vectors, 8, 0.99, [0] * 1200)

    assert [[place for place, _ in group] for group in found] == [list(range(n, 1200, 40)) for n in range(40)]


def test_a_group_may_begin_in_any_row() -> None:
    generator = np.random.default_rng(2)
    rows = [[float(x) for x in row] for row in generator.normal(size=(700, 64))]

    for first in (0, 255, 256, 257, 511, 512):
        vectors = [packed(row) for row in rows]
        vectors[699] = vectors[first]
        found = groups_by_vectors(vectors, 64, 0.9, [0] * 700)
        assert [[place for place, _ in group] for group in found] == [[first, 699]]


def test_the_exact_cosine_decides_and_not_the_rough_one() -> None:
    def at(cosine: float) -> list[bytes]:
        return [packed([1.0, 0.0]), packed([cosine, (1 - cosine * cosine) ** 0.5])]

    assert groups_by_vectors(at(0.9 - 5e-6), 2, 0.9, [0, 0]) == []
    assert len(groups_by_vectors(at(0.9 + 5e-6), 2, 0.9, [0, 0])) == 1


def test_fewer_than_two_vectors_are_no_group() -> None:
    assert groups_by_vectors([], 3, 0.5, []) == []
    assert groups_by_vectors([None, packed([1, 0, 0])], 3, 0.5, [0, 0]) == []
    assert groups_by_vectors([packed([0, 0, 0])] * 3, 3, 0.5, [0] * 3) == []
