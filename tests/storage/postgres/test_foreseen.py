"""What is remembered of subtrees' vectors: it is believed as far as the database says that it is so, row by row or by a digest of many."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("psycopg")

import perdure
from perdure.storage.contract import VectorSpace
from perdure.storage.postgres import foreseen, prompt
from perdure.storage.postgres.backend import PostgresBackend
from perdure.storage.postgres.foreseen import Foreseen, Seen
from perdure.storage.postgres.statements import statements_of
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from replicated import Pair

MANY = 40


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text.count(letter)) + 0.1 for letter in "abcd"] for text in texts]


INDEX: Any = {"embed": embed, "dims": 4, "fields": ["text"], "text": False}


def user(number: int) -> tuple[str, str]:
    return "users", f"u{number}"


@pytest.fixture(params=["", "&prepare=off"], ids=["session", "pooler"])
def db(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[perdure.Database]:
    with perdure.connect(postgres_url + request.param, index=INDEX) as opened:
        yield opened


@pytest.fixture
def elsewhere(db: perdure.Database) -> Iterator[BackendStore]:
    """The store of another process."""
    with closing(PostgresBackend(db.url)) as backend:
        yield BackendStore(backend, db.store._codec)


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The moments that were learned: one for each digest that a server made."""
    learned: list[bytes] = []
    real = Foreseen.was_so

    def told(self: Foreseen, session: object, seen: Seen, moment: bytes) -> None:
        learned.append(moment)
        real(self, session, seen, moment)

    monkeypatch.setattr(Foreseen, "was_so", told)
    return learned


def found(store: Any, prefix: tuple[str, ...] = ("users",), limit: int = 5, **more: Any) -> list[Any]:
    hits = store.search(prefix, query="aab", limit=limit, **more)
    return [(hit.namespace, hit.key, hit.value, hit.version, hit.score) for hit in hits]


def test_a_search_of_many_namespaces_is_one_round_trip_whoever_writes_elsewhere(
    db: perdure.Database, elsewhere: BackendStore, trips: Callable[..., int]
) -> None:
    db.store.put_many([(user(n), "k", {"text": "ab" * n}) for n in range(MANY)])
    first = found(db.store)
    assert trips(lambda: found(db.store)) == 1
    elsewhere.put(("others", "x"), "k", {"text": "aab"})
    assert trips(lambda: found(db.store)) == 1
    assert found(db.store) == first


def test_as_long_as_nobody_commits_anything_nothing_is_compared(
    db: perdure.Database, elsewhere: BackendStore, digests: list[bytes]
) -> None:
    if db.url.endswith("prepare=off"):
        pytest.skip("behind a pooler a session is another's a moment later")
    db.store.put_many([(user(n), "k", {"text": "ab" * n}) for n in range(MANY)])
    for _ in range(20):  # others use the server, too
        found(db.store)
        learned = len(digests)
        found(db.store)
        if len(digests) == learned:
            break
    else:
        raise AssertionError("each search was compared with a digest")
    elsewhere.put(("others", "x"), "k", {"text": "aab"})
    found(db.store)
    assert len(digests) == learned + 1


@pytest.mark.parametrize("few", [1, 3, 100], ids=["digests", "either", "rows"])
def test_searches_find_what_any_process_has_written_and_nothing_that_is_gone(
    db: perdure.Database, elsewhere: BackendStore, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(prompt, "FEW", few)
    choose = random.Random(few)
    with InMemoryStore(index=INDEX) as reference:
        for step in range(60):
            place, key = user(choose.randrange(6)), f"k{choose.randrange(3)}"
            writer = choose.choice([db.store, elsewhere])
            if choose.random() < 0.4:
                for one in (reference, writer):
                    one.delete(place, key)
                if choose.random() < 0.3:
                    for one in (reference, writer):
                        one.forget(place)
            else:
                # No two are alike, so that their order is certain.
                value = {"text": "a" * choose.randrange(50) + "b" * step + "c", "step": step}
                for one in (reference, writer):
                    one.put(place, key, value)
            for prefix in (("users",), place, user(0)):
                for _ in range(choose.randrange(1, 3)):
                    ours = [hit[:3] for hit in found(db.store, prefix, 50)]
                    assert ours == [hit[:3] for hit in found(reference, prefix, 50)]


def test_what_words_find_where_nothing_has_a_vector_is_found_beside(postgres_url: str) -> None:
    index: Any = {**INDEX, "text": True}
    with perdure.connect(postgres_url, index=index) as db:
        db.store.put(user(1), "both", {"text": "aab"})
        db.store.put(user(2), "later", {"text": "none"}, index=False)
        backend: Any = db.backend
        with perdure.connect(postgres_url, index={"text": True, "fields": ["text"]}) as words:
            assert words.backend is backend
            words.store.put(user(3), "words", {"text": "aab and more"})  # no two are equally good
        for _ in range(3):
            assert {hit[1] for hit in found(db.store, mode="hybrid")} == {"both", "words"}


def spaces(*changed: int) -> list[VectorSpace]:
    return [VectorSpace(number, 1, one) for number, one in enumerate(changed)]


class Session:
    """A connection."""


def test_a_moment_is_believed_in_its_own_session_only_and_of_what_was_compared_in_it() -> None:
    known, one, other = Foreseen(), Session(), Session()
    first = Seen((b"a", b"b", b"m"), spaces(1), b"digest")
    second = Seen((b"a", b"c", b"m"), spaces(1, 2), b"digest")
    known.was_so(one, first, b"1:1:")
    assert known.moment(one, first) == b"1:1:"
    assert known.moment(one, second) == b""
    assert known.moment(other, first) == b""
    known.was_so(one, second, b"1:1:")
    assert known.moment(one, first) == known.moment(one, second) == b"1:1:"
    known.was_so(one, second, b"2:2:")
    assert known.moment(one, first) == b""


def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreseen, "_MOST_SPACES", 10)
    monkeypatch.setattr(foreseen, "_LARGEST", 4)
    known = Foreseen()
    several = [Seen((bytes([n]), b"", b"m"), spaces(1, 2), None) for n in range(5)]
    for one in several:
        known.learn(one)
    assert [known.get(one.asked) for one in several] == [None, None, *several[2:]]
    large = Seen(several[4].asked, spaces(1, 2, 3, 4, 5), b"")
    known.learn(large)  # nor is what was so before
    assert known.get(large.asked) is None
    known.forget(Seen(several[3].asked, spaces(9), None))  # another answer, not the one that is known
    assert known.get(several[3].asked) is several[3]
    known.forget(several[3])
    assert known.get(several[3].asked) is None
    again = Seen(several[0].asked, spaces(1, 2), None)
    for one in (again, several[1]):
        known.learn(one)
    assert known.get(several[2].asked) is several[2]


def test_names_of_namespaces_are_decoded_as_they_are_and_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreseen, "_MOST_SPACES", 3)
    known = Foreseen()
    for n in range(10):
        assert known.name_of(b"u%d\0\1" % n) == (f"u{n}",)
        assert known.name_of(b"u0\0\1") == ("u0",)
        assert len(known._names) <= 3


def test_a_standby_gives_no_moment_twice(pair: Pair) -> None:
    """Its snapshots do not name all that they do not see: two that are called the same may see different things."""
    found = re.search(
        r"\(SELECT (convert_to\(.*?) AS moment", statements_of("public")["spaces_digest"].text.decode(), re.S
    )
    assert found is not None
    asked = f"SELECT {found[1]}"

    assert len({pair.on_standby(asked)[0][0] for _ in range(5)}) == 5
