"""Whatever is done while time passes: memory and SQLite show what a dict says is left, and sweep what it says has gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from databases import UNSHRUNK
from perdure.errors import VersionConflict
from perdure.store.base import NOT_PROVIDED, PutOp
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.store.swept import SweptStore
from perdure.testing.fake_clock import FakeClock

Place = tuple[tuple[str, ...], str]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT = 3
SPACES = (("a",), ("a", "b"), ("ab",))

one = st.sampled_from
places = st.tuples(one(SPACES), one(("k", "l")))
values = st.builds(
    lambda n, word: {"n": n, "text": word}, st.integers(0, 2), one(("tea", "cake", "tea cake"))
)
lives = one((NOT_PROVIDED, None, 1, 2, 10))


class Left(NamedTuple):
    """An item, when it ends, and how long it lives when it is read: microseconds; None: for ever."""

    value: dict[str, Any]
    expires: int | None
    ttl: int | None


class StoresAgreeWhileTimePasses(RuleBasedStateMachine):
    """Two stores, or three, and a model of what is left, in order of the last write."""

    also: Callable[[], AbstractContextManager[SweptStore]] | None = None

    @initialize()
    def begin(self) -> None:
        self.open = ExitStack()
        self.clock = self.open.enter_context(FakeClock(BEGIN))
        self.stores: list[SweptStore] = [
            self.open.enter_context(InMemoryStore(ttl={"default_ttl": DEFAULT})),
            self.open.enter_context(SqliteStore.from_conn_string(":memory:", ttl={"default_ttl": DEFAULT})),
        ]
        if (also := type(self).also) is not None:
            self.stores.append(self.open.enter_context(also()))
        self.items: dict[Place, Left] = {}  # swept or not
        self.past: list[
            tuple[int, list[str], dict[Place, dict[str, Any]]]
        ] = []  # when, revisions, what was there

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.open.close()

    def living(self) -> dict[Place, Left]:
        now = self.clock.micros()
        return {
            place: left for place, left in self.items.items() if left.expires is None or left.expires > now
        }

    def both(self, ask: Callable[[SweptStore], Any]) -> Any:
        first, *others = [outcome(ask, store) for store in self.stores]
        assert others == [first] * len(others)
        return first

    def remember(self, place: Place, value: dict[str, Any], minutes: Any) -> None:
        minutes = DEFAULT if minutes is NOT_PROVIDED else minutes
        ttl = None if minutes is None else minutes * 60_000_000
        self.items.pop(place, None)
        self.items[place] = Left(value, None if ttl is None else self.clock.micros() + ttl, ttl)

    def was_read(self, place: Place) -> None:
        left = self.items[place]
        if left.ttl is not None and left.expires is not None:
            self.items[place] = left._replace(expires=max(left.expires, self.clock.micros() + left.ttl))

    @rule(place=places, value=values, minutes=lives)
    def put(self, place: Place, value: dict[str, Any], minutes: Any) -> None:
        self.both(lambda store: store.put(*place, value, ttl=minutes))
        self.remember(place, value, minutes)

    @rule(place=places, value=values, minutes=lives)
    def put_if_absent(self, place: Place, value: dict[str, Any], minutes: Any) -> None:
        said = self.both(lambda store: store.put(*place, value, ttl=minutes, if_absent=True))
        assert (said == "VersionConflict") == (place in self.living())
        if said is None:
            self.remember(place, value, minutes)

    @rule(several=st.dictionaries(places, st.none() | values, max_size=3), minutes=one((None, 1, 10)))
    def batch(self, several: dict[Place, dict[str, Any] | None], minutes: Any) -> None:
        ops = [
            PutOp(*place, value, ttl=None if value is None else minutes) for place, value in several.items()
        ]
        self.both(lambda store: store.batch(ops))
        for place, value in several.items():
            self.items.pop(place, None)
            if value is not None:
                self.remember(place, value, minutes)

    @rule(place=places)
    def delete(self, place: Place) -> None:
        self.both(lambda store: store.delete(*place))
        self.items.pop(place, None)

    @rule(place=places)
    def update(self, place: Place) -> None:
        self.both(lambda store: store.update(*place, lambda value: {**(value or {}), "n": 9}))
        left = self.living().get(place)
        self.remember(place, {**(left.value if left else {}), "n": 9}, NOT_PROVIDED)
        if left:
            self.items[place] = self.items[place]._replace(expires=left.expires, ttl=left.ttl)

    @rule(place=places, refresh=one((None, True, False)))
    def get(self, place: Place, refresh: bool | None) -> None:
        found = self.both(lambda store: store.get(*place, refresh_ttl=refresh))
        left = self.living().get(place)
        assert found == (None if left is None else told(place, left))
        if left and refresh is not False:
            self.was_read(place)

    @rule(
        space=one(((), *SPACES)),
        n=st.none() | st.integers(0, 2),
        refresh=st.booleans(),
        limit=st.integers(1, 4),
    )
    def search(self, space: tuple[str, ...], n: int | None, refresh: bool, limit: int) -> None:
        given = None if n is None else {"n": n}
        found = self.both(lambda store: store.search(space, filter=given, limit=limit, refresh_ttl=refresh))
        expected = [
            (place, left)
            for place, left in reversed(self.living().items())
            if place[0][: len(space)] == space and (n is None or left.value["n"] == n)
        ][:limit]
        assert found == [told(place, left) for place, left in expected]
        if refresh:
            for place, _ in expected:
                self.was_read(place)

    @rule(space=one(((), *SPACES)), refresh=st.booleans())
    def search_by_words(self, space: tuple[str, ...], refresh: bool) -> None:
        found = self.both(
            lambda store: [
                (round(item.score or 0, 6), item)
                for item in store.search(space, query="tea", limit=99, refresh_ttl=refresh)
            ]
        )
        expected = {
            place: told(place, left)
            for place, left in self.living().items()
            if place[0][: len(space)] == space and "tea" in left.value.get("text", "")
        }
        assert {item["place"]: item for _, item in found} == expected
        if refresh:
            for place in expected:
                self.was_read(place)

    @rule(seconds=one((1, 30, 59, 60, 61, 120, 600)))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        living = self.living()
        assert self.both(lambda store: store.sweep_ttl()) == len(self.items) - len(living)
        self.items = living

    @rule()
    def remember_the_moment(self) -> None:
        revisions: list[str] = []
        for store in self.stores:
            handle = store.__perdure_backend__
            assert handle is not None
            with handle.backend.read() as now:
                revisions.append(str(now.revision()))
        present = {place: left.value for place, left in self.living().items()}
        self.past.append((self.clock.micros(), revisions, present))

    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        if self.past:
            at, revisions, present = data.draw(one(self.past))
            when = BEGIN.fromtimestamp(at / 1e6, UTC)
            for store, revision in zip(self.stores, revisions, strict=True):
                view = store.at(when)
                if view.revision == revision:  # else somebody wrote in the same microsecond
                    found = {(item.namespace, item.key): item.value for item in view.search((), limit=99)}
                    assert found == present
                    assert view.list_namespaces() == sorted({place[0] for place in present})

    @invariant()
    def they_show_what_is_left(self) -> None:
        found = self.both(lambda store: store.search((), limit=99, refresh_ttl=False))
        assert found == [told(place, left) for place, left in reversed(self.living().items())]
        spaces = self.both(lambda store: store.list_namespaces())
        assert spaces == sorted({place[0] for place in self.living()})


def told(place: Place, left: Left) -> Any:
    """The item as `plain` has it; when it ends is what reading may change, so it is not compared."""
    return {"place": place, "value": left.value, "ttl": None if left.ttl is None else left.ttl / 60_000_000}


def outcome(ask: Callable[[SweptStore], Any], store: SweptStore) -> Any:
    try:
        return plain(ask(store))
    except VersionConflict as error:
        return type(error).__name__


def plain(result: Any) -> Any:
    match result:
        case list():
            return [plain(part) for part in result]
        case (float() as score, item):
            return score, plain(item)
        case None | int() | str() | tuple():
            return result
        case item:
            value = json.loads(json.dumps(item.value))
            return {"place": (item.namespace, item.key), "value": value, "ttl": item.ttl}


quick = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestStoresAgreeWhileTimePasses = StoresAgreeWhileTimePasses.TestCase
TestStoresAgreeWhileTimePasses.settings = quick


def on_postgres(urls: Callable[[], str], examples: int, steps: int) -> None:
    class AndPostgres(StoresAgreeWhileTimePasses):
        also = staticmethod(lambda: PostgresStore.from_conn_string(urls(), ttl={"default_ttl": DEFAULT}))

    run_state_machine_as_test(
        AndPostgres,
        settings=settings(quick, max_examples=examples, stateful_step_count=steps, phases=UNSHRUNK),
    )


def test_postgres_agrees_while_time_passes(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 8, 20)


@pytest.mark.slow
def test_postgres_agrees_for_long(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 300, 50)


@pytest.mark.slow
class TestStoresAgreeForLong(StoresAgreeWhileTimePasses.TestCase):
    settings = settings(quick, max_examples=800, stateful_step_count=50)
