"""One number for all that a database remembers: what counts in it, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from databases import KINDS
from perdure import connect
from perdure.testing import digest

Put = tuple[str, str]
A, B = ("a",), ("b",)


@pytest.fixture(params=KINDS)
def digest_of(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Callable[..., str]:
    """The digest of a database into which items were put in this order; `without` as `digest` takes it."""

    def made(puts: Sequence[Put], without: Sequence[tuple[str, ...]] = ()) -> str:
        with connect(url_of(request.param)) as db:
            for space, key in puts:
                db.store.put((space,), key, {"is": "here"})
            return digest(db, without=without)

    return made


def test_which_namespace_was_written_to_first_does_not_count(digest_of: Callable[..., str]) -> None:
    one = digest_of([("a", "k"), ("b", "k"), ("a", "l")])

    assert digest_of([("b", "k"), ("a", "k"), ("a", "l")]) == one
    assert digest_of([("a", "l"), ("a", "k"), ("b", "k")]) != one, "the order within a namespace does"


def test_namespaces_that_are_left_out_do_not_count(digest_of: Callable[..., str]) -> None:
    one = digest_of([("a", "k")])

    assert digest_of([("a", "k"), ("b", "k")]) != one
    assert digest_of([("a", "k"), ("b", "k")], without=[B]) == one
    assert digest_of([("a", "k"), ("b", "k")], without=[A, B]) == digest_of([])
