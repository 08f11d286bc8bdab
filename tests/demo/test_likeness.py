"""Spelling as vectors: the same everywhere, near for words written alike, and nothing more than that."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.demo.likeness import DIMS, Spelling, alike, words_of
from perdure.store.base import Embeddings

SOURCE = Path(__file__).parents[2] / "src"
TEXTS = st.text(alphabet=st.characters(codec=None), max_size=60)
WORDS = st.text(alphabet="abcdeéß", max_size=9)


def vector(text: str) -> list[float]:
    return Spelling().embed_query(text)


def cosine(one: str, other: str) -> float:
    return math.fsum(a * b for a, b in zip(vector(one), vector(other), strict=True))


def test_every_process_gets_the_same_vectors() -> None:
    program = (
        "from perdure.demo.likeness import Spelling;"
        "print(Spelling().embed_documents(['To be, or not to be', 'Words, words, words.']))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert said == {f"{Spelling().embed_documents(['To be, or not to be', 'Words, words, words.'])}\n"}


@given(TEXTS)
def test_a_vector_has_length_one_or_is_of_no_word(text: str) -> None:
    made = vector(text)

    assert len(made) == DIMS
    length = math.sqrt(math.fsum(value * value for value in made))
    assert length == pytest.approx(1.0 if words_of(text) else 0.0)


@given(WORDS, WORDS)
def test_likeness_of_words_has_no_direction_and_is_one_for_the_same_only(one: str, other: str) -> None:
    assert alike(one, other) == alike(other, one)
    assert 0 <= alike(one, other) <= 1
    assert (alike(one, other) == 1) == (one == other)


def test_case_apostrophes_and_order_make_no_difference() -> None:
    assert words_of("'Tis poison'd, O\u2019er") == ["tis", "poisond", "oer"]
    assert vector("the POISON'D cup") == pytest.approx(vector("cup? The poisond"))


def test_words_spelt_alike_are_near_and_words_that_mean_the_same_are_not() -> None:
    for one, other in [("murder", "murderer"), ("Elsinore", "Elsinoor"), ("poisned", "poisoned")]:
        assert cosine(one, other) > 0.3, (one, other)
        assert alike(one.lower(), other.lower()) > 0.3, (one, other)
    assert abs(cosine("murder", "kill")) < 0.2
    assert alike("murder", "kill") == 0


def test_long_words_count_more_than_short_ones() -> None:
    assert cosine("the majesty of it", "majesty") > cosine("the majesty of it", "the of it")


def test_it_is_an_embedder_in_both_colours() -> None:
    model = Spelling()
    assert isinstance(model, Embeddings)

    texts = ["Who's there?", ""]
    assert asyncio.run(model.aembed_documents(texts)) == model.embed_documents(texts)
    assert asyncio.run(model.aembed_query("Who's there?")) == model.embed_documents(texts)[0]
