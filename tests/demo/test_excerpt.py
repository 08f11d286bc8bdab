"""Of a long text the stretch that has to do with the question, on one line that fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.demo.excerpt import excerpt, has_something_of
from perdure.demo.likeness import words_of
from perdure.demo.play import hamlet

LONG = (
    "One two three four five six seven eight nine ten.\n\nAlas, poor Yorick! I knew him, Horatio. "
    + "so " * 40
)
SPEECHES = [speech.text for scene in hamlet().scenes for speech in scene.speeches]


def test_a_text_that_fits_is_whole_on_one_line() -> None:
    assert excerpt("Who's\n\n  there?", "nothing", 20) == "Who's there?"


def test_a_long_one_shows_what_was_asked_for_with_dots_where_it_was_cut() -> None:
    shown = excerpt(LONG, "Yorick", 40)

    assert shown == "... Alas, poor Yorick! I knew him, ..."
    assert excerpt(LONG, "yorik?", 40) == shown


def test_it_begins_at_the_beginning_if_there_is_nothing_of_the_question() -> None:
    assert excerpt(LONG, "xyzzy", 30) == "One two three four ..."


def test_the_end_has_no_dots_behind_it() -> None:
    assert excerpt("so " * 40 + "farewell", "farewell", 24) == "... so so farewell"


def test_two_words_of_the_question_are_better_than_one() -> None:
    text = "a ghost " + "so " * 30 + "the ghost of a king " + "so " * 30 + "a king"

    assert "ghost of a king" in excerpt(text, "the king's ghost, king", 40)


@given(st.sampled_from(SPEECHES), st.text(max_size=20), st.integers(20, 200))
def test_a_line_is_never_longer_than_asked_and_is_all_from_the_text(
    text: str, question: str, width: int
) -> None:
    shown = excerpt(text, question, width)

    assert len(shown) <= width
    assert "\n" not in shown
    assert shown.removeprefix("... ").removesuffix(" ...") in " ".join(text.split())


def test_words_that_are_spelt_like_one_that_is_there_do_not_hide_it() -> None:
    text = "wringing and bringing " + "and so on " * 20 + "wring it"

    assert "wring" in words_of(excerpt(text, "wring", 40))


@given(st.sampled_from(SPEECHES), st.data())
def test_a_word_that_was_asked_for_is_shown(text: str, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(words_of(text)))

    assert word in words_of(excerpt(text, word, 60))


@pytest.mark.parametrize(
    ("question", "has"),
    [
        ("Who was Yorick?", True),
        ("yorik", True),
        ("the skull, so they say", False),  # of short words only the others' company counts
        ("so", True),
        ("xyzzy", False),
        ("?", False),
    ],
)
def test_a_text_has_something_of_a_question_or_nothing(question: str, has: bool) -> None:
    assert has_something_of(LONG, question) is has
