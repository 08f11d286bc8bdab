"""An export imported elsewhere is the same memory, whatever the text; twice is once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import perdure
from databases import KINDS, QUICK
from perdure.errors import PerdureError, QueryError
from perdure.storage.contract import Origin, PutItem, commit_now
from perdure.store.face import BackendStore
from perdure.store.swept import SweptStore
from perdure.testing import store_moving, store_ttl
from perdure.testing.fake_clock import FakeClock

ODD = ("\ud800", "*", "\x01")


@pytest.fixture(params=QUICK)
def other(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[BackendStore]:
    with perdure.connect(url_of(request.param)) as db:
        yield db.store


def fill(store: BackendStore) -> None:
    with FakeClock() as clock:
        store.put(("users", "ada"), "a", {"text": "first", "n": 2**70})
        clock.advance(hours=1)
        store.put(("users", "ada"), "a", {"text": "second \udfff \0", "f": 0.1})
        store.put(ODD, "\0\ud800", {"\ud800\0": ["\udc00"]}, index=False)
        store.put(("users", "bob"), "b", {"text": "secret", "open": "word"}, index=["open"])
        store.put_many([(("many",), f"k{n}", {"n": n}) for n in range(1100)])
        store.put(("users",), "gone", {"n": 1})
        clock.advance(hours=1)
        store.delete(("users",), "gone")
    handle = store.__perdure_backend__
    assert handle is not None
    value = store._codec.encode(("by",), "node", {"n": 1})
    origin = Origin("thread", None, "node", "actor")
    handle.backend.commit(commit_now(items=[PutItem(("by",), "node", value, origin)]))


def text(store: BackendStore, **options: Any) -> list[str]:
    """The items' lines, which have everything but the order."""
    return sorted(json.dumps(line) for line in list(store.export(**options))[1:-1])


def versions(store: BackendStore) -> Any:
    def told(namespace: tuple[str, ...], key: str) -> Any:
        return [(v.value, v.created_at, v.updated_at, v.origin) for v in store.history(namespace, key)]

    return [told(("users", "ada"), "a"), told(("users",), "gone"), told(("by",), "node")]


@pytest.mark.parametrize("history", [False, True])
def test_what_is_imported_is_what_was_exported(
    store: BackendStore, other: BackendStore, history: bool
) -> None:
    fill(store)
    lines = [json.dumps(line) for line in store.export(history=history)]

    done = other.import_(lines)

    assert (done.written, done.unchanged) == (1104 + history, 0)
    assert text(other, history=history) == text(store, history=history)
    assert len(other.history(("users", "ada"), "a")) == 1 + history
    if history:
        assert versions(other) == versions(store)
    assert other.search((), query="secret") == []
    assert [item.key for item in other.search((), query="word")] == ["b"]

    handle = other.__perdure_backend__
    assert handle is not None
    token = handle.backend.change_token()
    again = other.import_(lines)
    assert (again.written, again.unchanged) == (0, 1104 + history)
    assert handle.backend.change_token() == token


def test_an_export_shows_one_moment_while_others_write(store: BackendStore) -> None:
    store.put_many([(("many",), f"k{n}", {"n": n}) for n in range(1200)])
    lines = store.export(("many",))
    first = [next(lines) for _ in range(2)]

    store.put_many([(("many",), f"k{n}", {"n": -1}) for n in range(0, 1200, 7)])
    store.delete(("many",), "k3")
    store.put(("many",), "late", {})
    rest = list(lines)

    items = [line for line in (*first, *rest) if "key" in line]
    assert {line["key"]: line["value"]["n"] for line in items} == {f"k{n}": n for n in range(1200)}
    assert rest[-1] == {"items": 1200}


def test_another_value_is_replaced_and_then_stands(store: BackendStore, other: BackendStore) -> None:
    store.put(("a",), "k", {"n": 1})
    lines = list(store.export())
    other.put(("a",), "k", {"n": 2})

    assert other.import_(lines).written == 1
    assert other.import_(lines).unchanged == 1
    assert [version.value for version in other.history(("a",), "k")] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "cut off"),
        (lambda lines: lines[1:], "line 1 .* first line"),
        (lambda lines: [*lines[:1], "{", *lines[1:]], "line 2 .* no JSON"),
        (lambda lines: [*lines[:1], {"namespace": ["a"]}, *lines[1:]], "line 2 .* no key"),
        (lambda lines: [*lines[:1], {**lines[1], "created_at": "x"}, lines[2]], "line 2 .* no item"),
        (lambda lines: [lines[0], lines[2]], "line 2 .* counts 1 items, but 0"),
        (lambda lines: [{**lines[0], "format": 9}, *lines[1:]], "format is 9"),
        (lambda lines: [*lines, lines[1]], "line 4 .* behind the last"),
    ],
)
def test_what_is_no_whole_export_is_refused_with_its_line(
    change: Any, said: str, store: BackendStore
) -> None:
    store.put(("a",), "k", {"n": 1})
    lines = list(store.export())

    with pytest.raises(QueryError, match=said):
        store.import_(change(lines))

    assert [item.value for item in store.search(())] == [{"n": 1}]


async def test_lines_stream_in_the_other_colour(store: BackendStore, other: BackendStore) -> None:
    await store.aput(("a",), "k", {"n": 1})
    told: list[int] = []

    lines = [line async for line in store.aexport()]
    done = await other.aimport(lines, progress=lambda so_far: told.append(so_far.written))

    assert (done.written, told) == (1, [1])
    assert text(other) == text(store)


@pytest.mark.parametrize("to", QUICK)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", store_moving.MOVING_CHECKS, ids=lambda check: check.__name__)
def test_ends_are_moved(
    check: Callable[[SweptStore, SweptStore], None], kind: str, to: str, url_of: Callable[[str], str]
) -> None:
    lives = store_ttl.CONFIG
    with perdure.connect(url_of(kind), ttl=lives) as here, perdure.connect(url_of(to), ttl=lives) as there:
        check(here.store, there.store)


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_what_expires_there_expires_here(url: str, other: BackendStore, history: bool) -> None:
    with FakeClock() as clock, perdure.connect(url, ttl={}) as db:
        db.store.put(("a",), "short", {"n": 0})
        db.store.put(("a",), "short", {"n": 1}, ttl=5)
        db.store.put(("a",), "long", {"n": 2}, ttl=1000.5)
        db.store.put(("a",), "ever", {"n": 3})
        lines = [json.dumps(line) for line in db.store.export(history=history)]
        clock.advance(minutes=4)

        assert other.import_(lines).written == 3
        assert other.import_(lines).written == 0

        here, there = other.get(("a",), "short"), db.store.get(("a",), "short", refresh_ttl=False)
        assert here is not None
        assert there is not None
        assert (here.expires_at, here.ttl) == (there.expires_at, there.ttl) != (None, None)
        assert text(other, history=history) == text(db.store, history=history)
        clock.advance(minutes=2)
        assert sorted(item.key for item in other.search(())) == ["ever", "long"]
        assert other.import_(lines).written == 0  # what is over is not written again
        assert sorted(item.key for item in other.search(())) == ["ever", "long"]
        assert other.check() == []


def test_what_is_over_when_it_is_imported_is_not_there(other: BackendStore) -> None:
    with FakeClock() as clock, perdure.connect("memory://", ttl={}) as db:
        db.store.put(("a",), "short", {"n": 1}, ttl=5)
        lines = list(db.store.export())
        clock.advance(minutes=6)

        other.import_(lines)

        assert other.get(("a",), "short") is None
        assert other.import_(lines).written == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"origin": {"thread": 5}},
        {"origin": {"nobody": "x"}},
        {"origin": 5},
        {"value": [1]},
        {"value": "x"},
        {"value": {"n": float("nan")}},
        {"index": "abc"},
        {"index": [1]},
        {"expires_at": "2030-01-01T00:00:00+00:00", "ttl_microseconds": 10**30},
    ],
    ids=repr,
)
def test_a_line_that_cannot_be_right_is_named(bad: dict[str, Any], other: BackendStore) -> None:
    with perdure.connect("memory://") as db:
        db.store.put(("a",), "k", {"n": 1})
        head, line, tail = db.store.export()

    with pytest.raises(PerdureError, match="line 2 cannot be imported"):
        other.import_([head, {**line, **bad}, tail])
    assert other.count() == 0


def test_a_line_that_is_nested_too_deep_is_named(other: BackendStore) -> None:
    with perdure.connect("memory://") as db:
        head = next(iter(db.store.export()))

    with pytest.raises(PerdureError, match="line 2 cannot be imported"):
        other.import_([head, "[" * 100_000])
    assert other.count() == 0
