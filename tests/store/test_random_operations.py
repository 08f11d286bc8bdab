"""Whatever is done, in whatever order: memory and SQLite answer as a dict of dicts does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from databases import UNSHRUNK
from perdure.errors import VersionConflict
from perdure.storage.item_store import ItemStore
from perdure.store.base import GetOp, Item, Op, PutOp, SearchOp
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore

Place = tuple[tuple[str, ...], str]

labels = st.sampled_from(["a", "ab", "b", "*", "%", "é", "\ud800", "\x01"])
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
prefixes = st.lists(labels, max_size=2).map(tuple)
keys = st.sampled_from(["k", "l", "", "\0", "\udcff"])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "a", "b", 2**70, "\0"])
objects = st.dictionaries(
    st.sampled_from(["x", "y", "x.y"]),
    scalars | st.dictionaries(st.just("y"), scalars) | st.lists(scalars, max_size=3),
    max_size=3,
)
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({"$gte": st.integers(-1, 1)}),
    st.fixed_dictionaries({"$lt": st.sampled_from([0, 1.5, "b"])}),
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.fixed_dictionaries({"$contains": scalars}),
    st.fixed_dictionaries({"$not": scalars}),
    st.fixed_dictionaries({"y": scalars}),
)
fields = st.dictionaries(
    st.sampled_from(["x", "y", "x.y", "x[0]", "y[-1]", "x[*]", "y[*].y"]), conditions, max_size=2
)
filters = st.one_of(
    fields,
    st.fixed_dictionaries({"$or": st.lists(fields, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"$not": fields}),
)
orders = st.sampled_from([None, "key", "-key", "x", "-x", "-x.y", "y[0]", "value.x.y"])
times = st.sampled_from(
    ["created_at", "-created_at", "updated_at", "-updated_at"]
)  # which two stores don't share
DECLARED = ["x", "y", "x.y", "x[0]"]
places = st.tuples(st.tuples(namespaces, keys), st.none() | objects)
ops: st.SearchStrategy[Op] = st.one_of(
    st.tuples(namespaces, keys, st.none() | objects).map(lambda given: PutOp(*given)),
    st.tuples(namespaces, keys).map(lambda given: GetOp(*given)),
    st.tuples(prefixes, filters, st.integers(0, 4), st.integers(0, 3)).map(lambda given: SearchOp(*given)),
)


class StoresAgreeWithADict(RuleBasedStateMachine):
    """Three stores and a dict, in order of the last write; the dict says what is right, the first store how it is said."""

    also: Callable[[], AbstractContextManager[BackendStore]] | None = None

    def __init__(self) -> None:
        super().__init__()
        openings: list[Any] = [
            SqliteStore.from_conn_string(":memory:", indexes=paths) for paths in ([], DECLARED)
        ]
        if (also := type(self).also) is not None:
            openings.append(also())
        self.stores: list[BackendStore] = [InMemoryStore(), *(opening.__enter__() for opening in openings)]
        self.model: dict[Place, str] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    def both(self, ask: Callable[[ItemStore], Any]) -> Any:
        first, *others = (outcome(ask, store) for store in self.stores)
        assert others == [first] * len(others)
        return first

    def remember(self, place: Place, value: dict[str, Any] | None) -> None:
        self.model.pop(place, None)
        if value is not None:
            self.model[place] = json.dumps(value)

    def below(self, prefix: tuple[str, ...]) -> list[tuple[Place, dict[str, Any]]]:
        found = [
            (place, json.loads(text))
            for place, text in self.model.items()
            if place[0][: len(prefix)] == prefix
        ]
        return found[::-1]

    @rule(namespace=namespaces, key=keys, value=objects)
    def put(self, namespace: tuple[str, ...], key: str, value: dict[str, Any]) -> None:
        self.both(lambda store: store.put(namespace, key, value))
        self.remember((namespace, key), value)

    @rule(namespace=namespaces, key=keys)
    def delete(self, namespace: tuple[str, ...], key: str) -> None:
        self.both(lambda store: store.delete(namespace, key))
        self.remember((namespace, key), None)

    @rule(namespace=namespaces, key=keys, value=objects)
    def put_if_absent(self, namespace: tuple[str, ...], key: str, value: dict[str, Any]) -> None:
        said = self.both(lambda store: store.put(namespace, key, value, if_absent=True))
        assert (said == "VersionConflict") == ((namespace, key) in self.model)
        if said is None:
            self.remember((namespace, key), value)

    @rule(namespace=namespaces, key=keys, value=objects)
    def put_over_what_was_seen(self, namespace: tuple[str, ...], key: str, value: dict[str, Any]) -> None:
        def ask(store: ItemStore) -> None:
            item = store.get(namespace, key)
            if item is not None:
                store.put(namespace, key, value, if_version=item.version)

        self.both(ask)
        if (namespace, key) in self.model:
            self.remember((namespace, key), value)

    @rule(namespace=namespaces, key=keys, gone=st.booleans())
    def update(self, namespace: tuple[str, ...], key: str, gone: bool) -> None:
        def change(value: dict[str, Any] | None) -> dict[str, Any] | None:
            return None if gone else {**(value or {}), "y": len(value or {})}

        self.both(lambda store: store.update(namespace, key, change))
        before = self.model.get((namespace, key))
        self.remember((namespace, key), change(json.loads(before) if before else None))

    @rule(namespace=namespaces, key=keys)
    def get(self, namespace: tuple[str, ...], key: str) -> None:
        item = self.both(lambda store: store.get(namespace, key))
        text = self.model.get((namespace, key))
        assert (item and item["value"]) == (json.loads(text) if text else None)

    @rule(prefix=prefixes, limit=st.integers(0, 5), offset=st.integers(0, 5))
    def page(self, prefix: tuple[str, ...], limit: int, offset: int) -> None:
        found = self.both(lambda store: store.search(prefix, limit=limit, offset=offset))
        assert [(tuple(item["namespace"]), item["key"]) for item in found] == [
            place for place, _ in self.below(prefix)
        ][offset : offset + limit]

    @rule(prefix=prefixes, given=filters)
    def search(self, prefix: tuple[str, ...], given: dict[str, Any]) -> None:
        whole = self.both(lambda store: store.search(prefix, filter=given, limit=1000))
        some = self.both(lambda store: store.search(prefix, filter=given, limit=2, offset=1))
        assert some == whole[1:3]

    @rule(prefix=prefixes, given=filters, order_by=orders, count=st.integers(1, 2))
    def search_with_neighbours(
        self, prefix: tuple[str, ...], given: dict[str, Any], order_by: str | None, count: int
    ) -> None:
        options: dict[str, Any] = {"filter": given, "order_by": order_by, "limit": 3}
        found = self.both(
            lambda store: [
                (item.namespace, item.key, item.neighbour_of)
                for item in store.search(prefix, neighbours=count, **options)
            ]
        )
        hits = [(item.namespace, item.key, None) for item in self.stores[0].search(prefix, **options)]
        assert [one for one in found if one[2] is None] == hits
        assert len({one[:2] for one in found}) == len(found) <= 3 * (1 + 2 * count)
        assert all((space, of, None) in hits for space, _, of in found if of is not None)

    @rule(prefix=prefixes, given=filters, order_by=orders, size=st.integers(1, 3))
    def walk(self, prefix: tuple[str, ...], given: dict[str, Any], order_by: str | None, size: int) -> None:
        whole = self.both(lambda store: store.search(prefix, filter=given, order_by=order_by, limit=1000))
        unordered = self.both(lambda store: store.search(prefix, filter=given, limit=1000))
        assert sorted(whole, key=repr) == sorted(unordered, key=repr)
        for store in self.stores:
            assert plain(pages(store, size, prefix, filter=given, order_by=order_by)) == whole

    @rule(
        prefix=prefixes,
        order_by=orders | times,
        first=st.integers(1, 3),
        several=st.lists(places, max_size=3),
    )
    def walk_while_others_write(
        self, prefix: tuple[str, ...], order_by: str | None, first: int, several: list[tuple[Place, Any]]
    ) -> None:
        for store in self.stores:
            start = store.search(prefix, order_by=order_by, limit=first)
            rest = store.search(prefix, order_by=order_by, limit=1000)[first:]
            for place, value in several:
                store.batch([PutOp(*place, value)])
            if start:
                touched = {place for place, _ in several}
                more = pages(store, 2, prefix, order_by=order_by, after=start[-1].cursor)
                assert untouched(more, touched) == untouched(rest, touched)
        for place, value in several:
            self.remember(place, value)

    @rule(prefix=prefixes, depth=st.none() | st.integers(1, 2))
    def list_namespaces(self, prefix: tuple[str, ...], depth: int | None) -> None:
        literal = tuple("a" if label == "*" else label for label in prefix)
        found = self.both(lambda store: store.list_namespaces(prefix=literal, max_depth=depth))
        assert found == sorted({place[0][:depth] for place, _ in self.below(literal)})

    @rule(several=st.lists(ops, max_size=6))
    def batch(self, several: list[Op]) -> None:
        self.both(lambda store: store.batch(several))
        for op in several:
            if isinstance(op, PutOp):
                self.remember((op.namespace, op.key), None if op.value is None else dict(op.value))

    @rule(several=st.lists(places, max_size=4))
    def put_many(self, several: list[tuple[Place, Any]]) -> None:
        self.both(lambda store: store.put_many([(*place, value) for place, value in several]))
        for place, value in several:
            self.remember(place, value)

    @rule(several=st.lists(st.tuples(namespaces, keys), max_size=4))
    def get_many(self, several: list[Place]) -> None:
        found = self.both(lambda store: store.get_many(several))
        texts = [self.model.get(place) for place in several]
        assert [item and item["value"] for item in found] == [text and json.loads(text) for text in texts]

    @rule(prefix=prefixes, given=st.none() | filters)
    def count(self, prefix: tuple[str, ...], given: dict[str, Any] | None) -> None:
        found = self.both(lambda store: store.count(prefix, filter=given))
        assert found == len(self.stores[0].search(prefix, filter=given, limit=1000))

    @rule(prefix=namespaces, given=st.none() | filters)
    def delete_prefix(self, prefix: tuple[str, ...], given: dict[str, Any] | None) -> None:
        goes = [
            (item.namespace, item.key) for item in self.stores[0].search(prefix, filter=given, limit=1000)
        ]
        assert self.both(lambda store: store.delete_prefix(prefix, filter=given)) == len(goes)
        for place in goes:
            self.remember(place, None)

    @rule(prefix=namespaces, scrub=st.booleans())
    def forget(self, prefix: tuple[str, ...], scrub: bool) -> None:
        gone = self.below(prefix)
        first, *others = (store.forget(prefix, scrub=scrub) for store in self.stores)
        assert [other.counts for other in others] == [first.counts] * len(others)
        assert first.counts["items"] == len(gone)
        for (namespace, key), _ in gone:
            self.remember((namespace, key), None)
            assert self.both(lambda store, at=(namespace, key): store.history(*at)) == []

    @invariant()
    def they_hold_the_same_in_the_same_order(self) -> None:
        found = self.both(lambda store: store.search((), limit=1000))
        assert [((tuple(item["namespace"]), item["key"]), item["value"]) for item in found] == self.below(())


def pages(store: ItemStore, size: int, prefix: tuple[str, ...], **options: Any) -> list[Item]:
    """The listing by its cursors."""
    found: list[Item] = []
    while page := store.search(prefix, limit=size, **options):
        found += page
        options["after"] = page[-1].cursor
    return found


def untouched(items: list[Any], touched: set[Place]) -> list[Place]:
    return [place for item in items if (place := (item.namespace, item.key)) not in touched]


def outcome(ask: Callable[[ItemStore], Any], store: ItemStore) -> Any:
    """What came of it, without times and marks, which differ from database to database."""
    try:
        return plain(ask(store))
    except VersionConflict as error:
        return type(error).__name__


def plain(result: Any) -> Any:
    if isinstance(result, Item):
        return {"namespace": list(result.namespace), "key": result.key, "value": typed(result.value)}
    return [plain(part) for part in cast("list[Any]", result)] if isinstance(result, list) else result


def typed(value: Any) -> Any:
    return json.loads(json.dumps(value))


StoresAgreeWithADict.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def on_postgres(urls: Callable[[], str], examples: int, steps: int) -> None:
    class AndPostgres(StoresAgreeWithADict):
        also = staticmethod(lambda: PostgresStore.from_conn_string(urls(), indexes=DECLARED))

    run_state_machine_as_test(
        AndPostgres,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=UNSHRUNK,
        ),
    )


def test_postgres_agrees_with_a_dict_as_well(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 8, 25)


@pytest.mark.slow
def test_postgres_agrees_with_a_dict_for_long(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 300, 50)


TestStoresAgreeWithADict = StoresAgreeWithADict.TestCase
