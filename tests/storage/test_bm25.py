"""Scores: what every ranking promises, and one worked by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.storage.text.bm25 import idf, most, score

COUNTS = st.integers(0, 1000)
LENGTHS = st.integers(1, 100_000)


def test_a_score_worked_by_hand() -> None:
    weight = idf(documents=10, frequency=2)

    assert weight == pytest.approx(math.log(1 + 8.5 / 2.5))
    assert score([weight], [3], length=20, average=10.0) == pytest.approx(
        weight * (3 / (3 + 0.9 * 2) + 1 / 1.9)
    )


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_an_idf_is_never_negative_and_rarer_says_more(documents: int, frequency: int) -> None:
    assert idf(documents, frequency) >= idf(documents, frequency + 1) > 0


@given(st.lists(st.tuples(st.floats(0.01, 20), COUNTS), max_size=64), LENGTHS, st.floats(1, 1e5))
def test_no_document_reaches_more_than_its_terms_can_give(
    terms: list[tuple[float, int]], length: int, average: float
) -> None:
    weights, counts = [weight for weight, _ in terms], [count for _, count in terms]
    bound = 0.0
    for weight in weights:
        bound += most(weight)

    assert 0 <= score(weights, counts, length, average) <= bound


@given(st.integers(1, 1000), LENGTHS, st.floats(1, 1e5))
def test_more_of_a_term_is_worth_more_and_a_longer_document_less(
    count: int, length: int, average: float
) -> None:
    one = score([1.0], [count], length, average)

    assert score([1.0], [count + 1], length, average) > one
    assert score([1.0], [count], length * 2, average) < one


def test_a_long_document_that_answers_beats_a_short_one_that_holds_one_word() -> None:
    weights = [idf(1000, 20)] * 3

    long = score(weights, [1, 1, 1], length=200, average=20.0)
    short = score(weights, [1, 0, 0], length=1, average=20.0)

    assert long > short


def test_a_document_without_the_terms_is_worth_nothing() -> None:
    assert score([2.0, 1.0], [0, 0], 5, 5.0) == 0
    assert score([], [], 0, 0.0) == 0
