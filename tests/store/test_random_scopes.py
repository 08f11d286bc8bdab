"""Random calls through a scope, hostile ones too: what it answers is what a store of its own would, and nothing else changes.

The scope lies in a store full of other people's memories, which change all the time; beside it stands an empty store that
gets the same calls. If any answer depended on what is outside, the two would differ.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from databases import UNSHRUNK
from perdure.errors import PerdureError
from perdure.store.base import (
    GetOp,
    Importance,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    RankBy,
    Recency,
    SearchOp,
)
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.testing import FakeClock
from perdure.testing.watches import drained

SCOPE = ("users", "ada")
OUTSIDE = (
    ("users",),
    ("users", "ad"),
    ("users", "adb"),
    ("users", "ada\x01"),
    ("users", "bob"),
    ("ada",),
    ("users", "\U0010ffff"),
    ("zz", "users", "ada"),
)

one = st.sampled_from
labels = one(
    (
        "notes",
        "ada",
        "users",
        "..",
        "*",
        "",
        "%",
        "_",
        "a.b",
        "é",
        "\ud800",
        "\x01",
        "\x00",
        "\xff",
        "-1",
        "../bob",
    )
)
namespaces: Any = st.lists(labels, max_size=3).map(tuple) | one(
    ("users", ["users", "bob"], (1,), None, ("notes",))
)
inside = one((("notes",), ("notes", "users"), ("users", "ada"), ("*",), ("é",)))
keys: Any = one(("k", "", "users", "\x00", "../k", "\ud800", 7))
texts = one(("tea", "green tea", "secret", "*", "t*", '"green tea"', "-", "' OR 1=1 --"))
values = st.fixed_dictionaries({"text": texts, "n": st.integers(0, 3)})
filters: Any = st.none() | one(
    (
        {"n": {"$gte": 1}},
        {"text": {"$contains": "tea"}},
        {"$or": [{"n": 0}, {"owner": {"$exists": True}}]},
        {"$not": {"n": 1}},
        {"owner": "bob"},
        {"namespace": "users"},
        {"$where": "1"},
    )
)
orders = st.none() | one(("key", "-key", "updated_at", "-created_at", "value.n", "owner", "namespace", ""))
limits = one((0, 1, 2, 10, 1000))


def forged(name: str) -> str:
    """A cursor written by hand, that points at somebody else's items."""
    parts = [name, 3, "k", ["users", "bob"], "k"]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def judged(query: str, items: list[Any]) -> list[Any]:
    """A reranker that would tell what it sees."""
    assert "owner" not in repr(items), query  # all memories outside have one, none inside
    return items[::-1]


hostile_cursors: Any = one(
    (*map(forged, ("key", "-key", "value.n", "newest first")), "", "!", "e30", 5, "WyJrZXkiXQ")
)


class AScopeIsAStoreOfItsOwn(RuleBasedStateMachine):
    """The same calls to a scope amid other memories and to an empty store: the same answers, the same errors."""

    made: Callable[[], BackendStore]

    @initialize()
    def begin(self) -> None:
        self.open = ExitStack()
        self.clock = self.open.enter_context(FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))
        self.store = self.open.enter_context(type(self).made())
        self.alone = self.open.enter_context(type(self).made())
        for n, namespace in enumerate(OUTSIDE):
            self.store.put(namespace, "k", {"text": "secret green tea", "n": n % 4, "owner": "bob"})
        self.scope: Any = self.store.scoped(("users",)).scoped(("ada",))
        self.watches = (self.scope.watch(), self.alone.watch())
        self.cursors: list[tuple[Any, Any]] = []
        self.others = self.everybody_elses()

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.open.close()

    def everybody_elses(self) -> list[Any]:
        return [
            (item, item.version) for item in self.store.search((), limit=9999) if item.namespace[:2] != SCOPE
        ]

    def told(self, ask: Callable[[Any], Any], store: Any) -> Any:
        try:
            return ask(store)
        except (PerdureError, ValueError, TypeError) as error:
            return type(error)

    def both(self, ask: Callable[[Any], Any]) -> tuple[Any, Any]:
        answers = self.told(ask, self.scope), self.told(ask, self.alone)
        assert answers[0] == answers[1]
        self.clock.advance(seconds=1)
        return answers

    @rule(namespace=namespaces | inside, key=keys, value=values, absent=st.booleans())
    def put(self, namespace: Any, key: Any, value: Any, absent: bool) -> None:
        self.both(lambda store: store.put(namespace, key, value, if_absent=absent))

    @rule(namespace=namespaces | inside, key=keys)
    def delete(self, namespace: Any, key: Any) -> None:
        self.both(lambda store: store.delete(namespace, key))

    @rule(namespace=namespaces | inside, key=keys)
    def update(self, namespace: Any, key: Any) -> None:
        self.both(lambda store: store.update(namespace, key, lambda old: {"n": (old or {"n": 0})["n"] + 1}))

    @rule(namespace=namespaces | inside, key=keys)
    def look(self, namespace: Any, key: Any) -> None:
        self.both(lambda store: store.get(namespace, key))
        for versions in self.both(
            lambda store: [(v.namespace, v.value) for v in store.history(namespace, key)]
        ):
            assert "owner" not in repr(versions)  # all memories outside have one, none inside
        self.both(lambda store: getattr(store.blame(namespace, key), "fields", {}).keys())

    @rule(
        prefix=namespaces | inside, query=st.none() | texts, filter=filters, limit=limits, offset=one((0, 1))
    )
    def find(self, prefix: Any, query: str | None, filter: Any, limit: int, offset: int) -> None:
        self.both(lambda store: store.search(prefix, query=query, filter=filter, limit=limit, offset=offset))

    @rule(prefix=namespaces | inside, query=st.none() | texts, filter=filters, n=one((0, 1, 3, -1)))
    def find_with_what_is_beside(self, prefix: Any, query: str | None, filter: Any, n: int) -> None:
        ranking = RankBy(
            recency=Recency(timedelta(seconds=5), 1),
            importance=Importance("n", 1, (0, 3)),
            diversity=0.3,
            rerank=judged if n == 3 else None,
        )
        options: Any = {"rank_by": ranking} if query else {}

        def ask(store: Any) -> Any:
            found = store.search(prefix, query=query, filter=filter, neighbours=n, limit=2, **options)
            return [(item.namespace, item.key, item.value, item.score, item.neighbour_of) for item in found]

        assert "owner" not in repr(self.both(ask))

    @rule(order=orders, filter=filters, data=st.data())
    def page(self, order: str | None, filter: Any, data: st.DataObject) -> None:
        pairs: list[tuple[Any, Any]] = [(None, None), *self.cursors[-5:]]
        after = data.draw(one(pairs) | st.tuples(hostile_cursors).map(lambda forged: forged * 2))

        def listed(which: int) -> Callable[[Any], Any]:
            return lambda store: store.search((), filter=filter, order_by=order, after=after[which], limit=2)

        answers = self.told(listed(0), self.scope), self.told(listed(1), self.alone)
        assert answers[0] == answers[1]
        if isinstance(answers[0], list):
            self.cursors += [(a.cursor, b.cursor) for a, b in zip(*answers, strict=True)]

    @rule(
        prefix=st.none() | namespaces,
        suffix=st.none() | namespaces,
        depth=st.none() | one((0, 1, 2)),
        limit=limits,
        offset=one((0, 1)),
    )
    def list_namespaces(self, prefix: Any, suffix: Any, depth: Any, limit: int, offset: int) -> None:
        self.both(
            lambda store: store.list_namespaces(
                prefix=prefix, suffix=suffix, max_depth=depth, limit=limit, offset=offset
            )
        )

    @rule(where=st.lists(st.tuples(namespaces | inside, keys), max_size=3), value=st.none() | values)
    def batch(self, where: Any, value: Any) -> None:
        ops: list[Any] = [ListNamespacesOp((MatchCondition("suffix", ("*",)),)), SearchOp((), limit=99)]
        for namespace, key in where:
            ops += [GetOp(namespace, key), PutOp(namespace, key, value)]
        self.both(lambda store: store.batch(ops))

    @rule(n=st.integers(0, 3), namespace=one(OUTSIDE))
    def others_write(self, n: int, namespace: Any) -> None:
        self.store.put(namespace, "k", {"text": "secret green tea", "n": n, "owner": "bob"})
        self.others = self.everybody_elses()

    @rule(prefix=namespaces | inside)
    def take_back(self, prefix: Any) -> None:
        begin = self.watches[0].revision, self.watches[1].revision
        reports = [
            self.told(lambda store, since=since: store.revert(since=since, prefix=prefix), store)
            for since, store in zip(begin, (self.scope, self.alone), strict=True)
        ]
        if isinstance(reports[0], type):
            assert reports[0] == reports[1]
        else:
            assert reports[0].items == reports[1].items
            assert reports[0].conflicts == reports[1].conflicts == ()

    @rule(prefix=namespaces | inside)
    def compare(self, prefix: Any) -> None:
        begin = self.watches[0].revision, self.watches[1].revision
        found = [
            self.told(lambda store, since=since: store.diff(since, None, prefix), store)
            for since, store in zip(begin, (self.scope, self.alone), strict=True)
        ]
        assert found[0] == found[1]

    @rule()
    def follow(self) -> None:
        seen = [
            [
                [(event.kind, event.namespace, event.key, event.value, event.at) for event in changes]
                for changes in drained(watch)
            ]
            for watch in self.watches
        ]
        assert seen[0] == seen[1]

    @invariant()
    def nobody_elses_memory_has_changed(self) -> None:
        if hasattr(self, "others"):
            assert self.everybody_elses() == self.others


class InMemory(AScopeIsAStoreOfItsOwn):
    made = staticmethod(InMemoryStore)


class OnSqlite(AScopeIsAStoreOfItsOwn):
    @staticmethod
    def made() -> Any:
        return SqliteStore.from_conn_string(":memory:")


def on_postgres(urls: Callable[[], str], examples: int, steps: int) -> None:
    class OnPostgres(AScopeIsAStoreOfItsOwn):
        @staticmethod
        def made() -> Any:
            return PostgresStore.from_conn_string(urls())

    run_state_machine_as_test(
        OnPostgres,
        settings=settings(quick, max_examples=examples, stateful_step_count=steps, phases=UNSHRUNK),
    )


def test_on_postgres_a_scope_is_a_store_of_its_own(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 6, 20)


@pytest.mark.slow
def test_on_postgres_a_scope_is_a_store_of_its_own_for_long(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 300, 50)


quick = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestInMemory = InMemory.TestCase
TestInMemory.settings = quick
TestOnSqlite = OnSqlite.TestCase
TestOnSqlite.settings = quick


@pytest.mark.slow
class TestLongOnSqlite(OnSqlite.TestCase):
    settings = settings(quick, max_examples=600, stateful_step_count=50)
