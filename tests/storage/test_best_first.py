"""The order of what was scored: the same three ways, whatever is asked for, ties newest first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from perdure.storage.best_first import best_of_arrays, best_of_bounds, best_of_dict

scores = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.50001, 0.9]), max_size=400)


def newest_first(names: Sequence[int], wanted: Sequence[int]) -> list[int]:
    return sorted(names, reverse=True)


def in_order(given: Sequence[float]) -> list[tuple[int, float]]:
    return sorted(enumerate(given), key=lambda one: (-one[1], -one[0]))


@settings(max_examples=300, deadline=None)
@given(
    values=st.sampled_from([(0.0, 0.1, 0.25, 0.5, 0.50001, 0.9), tuple(n / 100 for n in range(100))]),
    size=st.integers(0, 400),
    likely=st.integers(0, 30),
    seed=st.integers(0, 999),
)
def test_bounds_that_are_loose_lead_to_the_same_order(
    values: tuple[float, ...], size: int, likely: int, seed: int
) -> None:
    given = np.random.default_rng(seed).choice(values, size=size).tolist()
    loose = np.random.default_rng(seed).uniform(0, 0.4, size=len(given)) * (seed % 3)
    most = [score + more for score, more in zip(given, loose.tolist(), strict=True)]
    names = sorted(range(len(given)), key=lambda name: -most[name])
    asked: list[int] = []

    def exact(some: Sequence[int]) -> dict[int, float]:
        asked.extend(some)
        return {name: given[name] for name in some}

    found = best_of_bounds(names, [most[name] for name in names], exact, likely, newest_first)

    first = list(islice(found, likely))
    looked = len(asked)
    assert first + list(found) == in_order(given)
    assert asked == names  # each once
    if seed % 3 == 0:  # bounds that are exact: no more is looked at than the first page, and ties
        least = first[-1][1] if first else 1.0
        assert looked <= max(likely, 64) + 4096 * (sum(score >= least for score in given) > max(likely, 64))


@settings(max_examples=100, deadline=None)
@given(given=scores, likely=st.integers(0, 30), near=st.sampled_from([0.0, 0.001, 0.2]))
def test_arrays_and_a_dict_give_the_same_order(given: list[float], likely: int, near: float) -> None:
    rough = np.array([score + (near if n % 2 else -near) for n, score in enumerate(given)])
    names = 3 * np.arange(len(given)) + 7
    arrays = best_of_arrays(
        names, rough, lambda places: [given[place] for place in places], near, likely, newest_first
    )

    assert list(arrays) == [(3 * place + 7, score) for place, score in in_order(given)]
    assert list(best_of_dict(dict(enumerate(given)), likely, newest_first)) == in_order(given)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.integers(-20, 20), max_size=60),
    likely=st.integers(1, 5),
    near=st.sampled_from([1e-6, 1e-5]),
)
def test_scores_of_little_precision_lose_nobody(steps: list[int], likely: int, near: float) -> None:
    exact = [0.7 + step * near / 4 for step in steps]
    rough = np.array([score + (near if n % 2 else -near) for n, score in enumerate(exact)], np.float32)
    off = max([0.0, *abs(rough.astype(float) - np.array(exact)).tolist()])
    names = np.arange(len(exact))

    arrays = best_of_arrays(
        names, rough, lambda places: [exact[place] for place in places], off, likely, newest_first
    )

    assert list(arrays) == in_order(exact)


def test_what_is_gone_is_left_out() -> None:
    found = best_of_bounds(
        [3, 2, 1], [3.0, 2.0, 1.0], lambda some: {n: 0.5 for n in some if n != 2}, 1, newest_first
    )

    assert list(found) == [(3, 0.5), (1, 0.5)]
