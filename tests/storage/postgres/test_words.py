"""What a snapshot was told that it will be asked, it answers as if it had not been told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest

pytest.importorskip("psycopg")

from hypothesis import given

import perdure
from databases import on_a_server
from perdure import clock
from perdure.storage.contract import WordsAsked, foretelling
from perdure.storage.memory.backend import MemoryBackend
from perdure.storage.postgres import words
from perdure.store.base import BaseStore

WORDS = ["tea", "teapot", "team", "cup", "of", "ox", "wörter"]
MANY = [("many", f"u{n}") for n in range(20)]  # where a term may be rarer than namespaces
SPACES = [("users", "ada"), ("users", "bob"), *MANY]
PREFIXES = [(), ("users",), ("users", "ada"), ("many",), ("nobody",)]


STRANGE: Any = ("users", "bob"), "elsewhere", {"text": "tea wörter"}


def fill(store: BaseStore) -> None:
    for at, space in enumerate(SPACES):
        for n in range(1 + at % 4):
            text = " ".join(WORDS[(at * n + k * 5) % len(WORDS)] for k in range(1 + (at + n) % 5))
            store.put(space, f"k{n}", {"text": text + (" rarest" if at == 7 else "")})
    store.put(("users", "ada"), "hidden", {"text": "tea"}, index=False)
    store.put(("users", "ada"), "wordless", {"n": 1})


@pytest.fixture(scope="module")
def db(postgres_server: str, postgres_admin: Any) -> Iterator[perdure.Database]:
    name = f"foretold_words_{clock.uuid6().hex}"
    sign = "&" if "?" in postgres_server else "?"
    with perdure.connect(f"{postgres_server}{sign}schema={name}") as opened:
        fill(opened.store)
        with perdure.connect(opened.url, index={"language": "german"}) as strange:
            strange.store.put(*STRANGE)
        yield opened
    postgres_admin.execute(f"DROP SCHEMA {name} CASCADE")


def index_of(db: perdure.Database) -> str:
    filer = db.store._codec.filer
    assert filer is not None
    return filer.analysis


@given(
    prefix=st.sampled_from(PREFIXES),
    terms=st.lists(st.sampled_from([*WORDS, "rarest", "nowhere"]), unique=True, max_size=5),
    beginnings=st.lists(st.sampled_from(["te", "tea", "o", "z", "wö"]), unique=True, max_size=2),
    small=st.sampled_from([0, 5, 10_000]),
    some=st.sampled_from([0, 1, 2, 500]),
    completions=st.sampled_from([1, 2, 64]),
    unknown=st.booleans(),
)
@on_a_server(200)
def test_words_have_the_same_statistics_postings_and_frequencies(
    db: perdure.Database,
    prefix: tuple[str, ...],
    terms: list[str],
    beginnings: list[str],
    small: int,
    some: int,
    completions: int,
    unknown: bool,
) -> None:
    index = "no such index" if unknown else index_of(db)
    asked = WordsAsked(index, tuple(terms), tuple(beginnings), completions, small, 3, "a model")
    before, words._SOME = words._SOME, some  # pyright: ignore[reportConstantRedefinition]
    try:
        with db.backend.read() as plain, db.backend.read() as told:
            ahead = foretelling(told)
            assert ahead is not None
            ahead.foretell_words(prefix, asked)

            assert told.text_totals(prefix, index) == plain.text_totals(prefix, index)
            found = [plain.terms(prefix, index, one, completions) for one in beginnings]
            assert [told.terms(prefix, index, one, completions) for one in beginnings] == found
            for term in {*terms, *(term for some_terms in found for term in some_terms)}:
                postings = sorted(plain.postings(prefix, index, term))
                assert sorted(told.postings(prefix, index, term)) == postings
                for most in (0, 1, 1000):
                    assert told.frequency(prefix, index, term, most) == min(len(postings), most)
            assert told.lapsed(prefix, told.now(), 3) == []
            assert told.vector_spaces(prefix, "a model") == []
    finally:
        words._SOME = before  # pyright: ignore[reportConstantRedefinition]


def test_postings_of_items_and_rows_are_the_same(db: perdure.Database) -> None:
    index = index_of(db)
    with db.backend.read() as plain, db.backend.read() as told:
        refs = sorted({ref for ref, _, _ in plain.postings((), index, "tea")})[:7]
        gone = [*refs, max(refs) + 1_000_000, 1]
        ahead: Any = foretelling(told)
        ahead.foretell_postings_in(gone, index, ["tea", "cup", "nowhere"])
        ahead.foretell_rows(gone[1:])

        for term in ("tea", "cup", "nowhere", "of"):
            for some in (gone, gone[:2], gone[3:]):
                assert sorted(told.postings_in(some, index, term)) == sorted(
                    plain.postings_in(some, index, term)
                )
        for some in (gone, gone[2:], gone[:1], []):
            assert told.rows(some) == plain.rows(some)
            assert told.versions(some) == plain.versions(some)
        named = [(row.namespace, row.key) for row in told.rows(refs).values()]
        assert told.numbers(named) == plain.numbers(named)
        assert told.numbers([*named, (("nowhere",), "k")]) == plain.numbers(named)


def test_items_are_the_same(db: perdure.Database) -> None:
    places = [
        (SPACES[0], "k0"),
        (SPACES[5], "k0"),
        (SPACES[0], "none"),
        (("nowhere",), "k0"),
        (SPACES[0], "k0"),
    ]
    with db.backend.read() as plain, db.backend.read() as told:
        ahead: Any = foretelling(told)
        ahead.foretell_items(places)

        assert [told.item(*place) for place in places] == [plain.item(*place) for place in places]


def test_nothing_is_foretold_to_what_answers_at_once() -> None:
    with MemoryBackend().read() as now:
        assert foretelling(now) is None


@pytest.mark.parametrize("some", [1, 500])
def test_a_large_subtree_is_searched_as_it_is_in_memory(
    db: perdure.Database, monkeypatch: pytest.MonkeyPatch, some: int
) -> None:
    from perdure.storage.text import ranking

    monkeypatch.setattr(words, "_SOME", some)
    monkeypatch.setattr(ranking, "EXACT", 3)
    with perdure.connect("memory://") as plain:
        fill(plain.store)
        plain.store.put(*STRANGE)
        for prefix in PREFIXES:
            for query in ("tea cup", "rarest tea of", "te* ox", '"tea"', "nowhere"):
                found, same = (
                    [
                        (one.namespace, one.key, one.score)
                        for one in store.search(prefix, query=query, limit=5)
                    ]
                    for store in (db.store, plain.store)
                )
                assert found == same


def test_a_large_subtree_that_is_filed_in_another_language_is_searched_as_it_is_in_memory(
    postgres_urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is filed as it is searched: all of it is looked at."""
    from perdure.storage.text import ranking

    monkeypatch.setattr(ranking, "EXACT", 10)
    url, found = postgres_urls(), []
    with perdure.connect(url) as db, perdure.connect("memory://") as plain:
        for store in (db.store, plain.store):
            for n in range(40):
                rare = " rarest rarest" if n == 7 else " other words"
                store.put(("users", "ada"), f"k{n}", {"text": f"tea cup{rare}"})
        with perdure.connect(url, index={"language": "german"}) as other:
            found = other.store.search(("users",), query="rarest tea cup", limit=1)

    assert [hit.key for hit in found] == ["k7"]
