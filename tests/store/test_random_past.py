"""Random writes, clocks and prunings: every view of the past is what a plain dict was then, or Compacted; never short."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from databases import UNSHRUNK
from perdure.errors import Compacted
from perdure.storage.contract import Backend, PruneHistory, PruneVersions, Revision, commit_now
from perdure.store.base import PutOp
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.store.watch import Watch
from perdure.testing.fake_clock import FakeClock
from perdure.testing.watches import drained

Place: TypeAlias = tuple[tuple[str, ...], str]
State: TypeAlias = dict[Place, dict[str, Any]]

SPACES = (("a",), ("a", "b"), ("ab",))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 1_000_000

one = st.sampled_from
places = st.tuples(one(SPACES), one(("k", "l")))
values = st.none() | st.builds(lambda n: {"n": n}, st.integers(0, 3))


class Gone(NamedTuple):
    """What `Compacted` said."""

    asked: Revision
    oldest: Revision


def kept_or_compacted(ask: Callable[[], Any]) -> Any:
    """The answer, or what the error says that is given instead."""
    try:
        return ask()
    except Compacted as error:
        return Gone(Revision.parse(str(error.asked)), Revision.parse(str(error.oldest)))


def backend_of(store: BackendStore) -> Backend:
    handle = store.__perdure_backend__
    assert handle is not None
    return handle.backend


@dataclass
class Followed:
    """A watch that somebody follows now and then, and what they saw."""

    store: BackendStore
    prefix: tuple[str, ...]
    watch: Watch
    seen: list[Any] = field(default_factory=list[Any])
    lost: bool = False


class ThePastIsExact(RuleBasedStateMachine):
    """On memory and SQLite side by side, against all states that ever were."""

    also: Callable[[], AbstractContextManager[BackendStore]] | None = None

    @initialize()
    def begin(self) -> None:
        self.open = ExitStack()
        self.clock = self.open.enter_context(FakeClock(BEGIN))
        self.stores: list[BackendStore] = [
            self.open.enter_context(InMemoryStore()),
            self.open.enter_context(SqliteStore.from_conn_string(":memory:")),
        ]
        if (also := type(self).also) is not None:
            self.stores.append(self.open.enter_context(also()))
        self.states: list[State] = [{}]  # by commit
        self.updated: dict[Place, int] = {}  # the newest version's time, of deletions too
        self.ended: list[tuple[int, int]] = []  # of every version that ended: when, and by which commit
        self.deletions: dict[Place, int] = {}  # of items that are gone: where in `ended`
        self.written: list[list[tuple[Place, dict[str, Any] | None]]] = [[]]  # by commit
        self.followed = [Followed(store, ("a",), store.watch(("a",))) for store in self.stores]
        self.exact_from = 0  # no version that a view from here on needs was ever pruned

    def teardown(self) -> None:
        if hasattr(self, "open"):
            self.open.close()

    def committed(self, changes: dict[Place, dict[str, Any] | None]) -> None:
        """The model after a commit that put or deleted in this order."""
        state, commit = dict(self.states[-1]), len(self.states)
        self.written.append([(p, v) for p, v in changes.items() if v is not None or p in state])
        for place, value in changes.items():
            if value is None and place not in state:
                continue
            at = max(self.clock.micros(), self.updated.get(place, 0))
            if place in state:
                self.ended.append((at, commit))
            if (
                value is not None and place in self.deletions
            ):  # a view needs the deletion until the item is back
                when = self.deletions.pop(place)
                self.ended[when] = (self.ended[when][0], commit)
            if value is None:
                self.deletions[place] = len(self.ended)
                self.ended.append((at, commit))
                del state[place]
            else:
                state.pop(place, None)
                state[place] = value
            self.updated[place] = at
        self.states.append(state)

    @rule(changes=st.dictionaries(places, values, min_size=1, max_size=3))
    def write(self, changes: dict[Place, dict[str, Any] | None]) -> None:
        for store in self.stores:
            store.batch([PutOp(namespace, key, value) for (namespace, key), value in changes.items()])
        self.committed(changes)

    @rule(seconds=st.integers(-3, 5))
    def tick(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(seconds=st.integers(-6, 2), limit=one((1, 2, 1000)))
    def prune(self, seconds: int, limit: int) -> None:
        before = self.clock.micros() + seconds * SECOND
        for store in self.stores:
            backend_of(store).commit(commit_now(removals=[PruneHistory(before, limit)]))
        gone = [commit for at, commit in self.ended if at < before]
        self.exact_from = max([self.exact_from, *gone])
        self.states.append(self.states[-1])
        self.written.append([])

    @rule(where=st.lists(places, unique=True, max_size=3), keep=one((1, 2, 3)), limit=one((1, 2, 1000)))
    def count_versions(self, where: list[Place], keep: int, limit: int) -> None:
        before = [[store.history(*place) for place in where] for store in self.stores]
        for store in self.stores:
            backend_of(store).commit(commit_now(removals=[PruneVersions(tuple(where), keep, limit)]))
        after = [[store.history(*place) for place in where] for store in self.stores]
        for had, has in zip(before, after, strict=True):
            for versions, left in zip(had, has, strict=True):
                kept = 0 if keep == 1 and versions and versions[0].deleted else keep
                assert left == versions[: max(kept, len(versions) - limit)]
                if len(left) < len(versions):
                    above = [version.revision for version in versions[: len(left) + 1]]
                    self.exact_from = max(self.exact_from, *(Revision.parse(at).seq for at in above))
        self.states.append(self.states[-1])
        self.written.append([])

    @invariant()
    def they_are_at_the_same_commit(self) -> None:
        for store in getattr(self, "stores", ()):
            with store._read() as snapshot:
                assert snapshot.revision() == Revision(0, len(self.states) - 1)

    def exactly(self, commit: int, expected: Any, ask: Callable[[BackendStore], Any]) -> None:
        """Both give the expected answer, or both say that it is not kept, which they may only below `exact_from`."""
        answers: list[Any] = []
        for store in self.stores:
            answer = kept_or_compacted(lambda store=store: ask(store))
            answers.append(answer)
            if isinstance(answer, Gone):
                assert commit < self.exact_from
                assert answer.oldest > answer.asked
            else:
                assert answer == expected
        assert answers[0] == answers[1]

    @rule(data=st.data(), prefix=one(((), *SPACES, ("b",))))
    def look_back(self, data: st.DataObject, prefix: tuple[str, ...]) -> None:
        commit = data.draw(st.integers(0, len(self.states) - 1))
        state, moment = self.states[commit], f"0.{commit}"
        inside = [(place, state[place]) for place in reversed(state) if place[0][: len(prefix)] == prefix]

        def listed(found: list[Any]) -> list[tuple[Place, dict[str, Any]]]:
            return [((item.namespace, item.key), item.value) for item in found]

        self.exactly(commit, inside, lambda store: listed(store.at(moment).search(prefix, limit=99)))
        self.exactly(
            commit, inside[1:3], lambda store: listed(store.at(moment).search(prefix, limit=2, offset=1))
        )
        ones = [found for found in inside if found[1] == {"n": 1}]
        self.exactly(
            commit, ones, lambda store: listed(store.at(moment).search(prefix, filter={"n": 1}, limit=99))
        )
        spaces = sorted({place[0] for place, _ in inside})
        self.exactly(commit, spaces, lambda store: store.at(moment).list_namespaces(prefix=prefix or None))
        for place in [(space, key) for space in SPACES for key in ("k", "l")]:

            def got(store: BackendStore, place: Place = place) -> Any:
                item = store.at(moment).get(*place)
                return None if item is None else item.value

            self.exactly(commit, state.get(place), got)

    @rule(data=st.data(), prefix=one(((), *SPACES)))
    def compare(self, data: st.DataObject, prefix: tuple[str, ...]) -> None:
        before, after = (data.draw(st.integers(0, len(self.states) - 1)) for _ in range(2))
        one, other = self.states[before], self.states[after]
        expected = [
            (place, one.get(place), other.get(place))
            for place in sorted({*one, *other})
            if place[0][: len(prefix)] == prefix and one.get(place) != other.get(place)
        ]

        def told(store: BackendStore) -> Any:
            found = store.diff(f"0.{before}", f"0.{after}", prefix)
            return [((d.namespace, d.key), d.before, d.after) for d in found]

        self.exactly(min(before, after), expected, told)

    @rule(data=st.data(), prefix=one(((), *SPACES)), page=one((1, 3, 200)))
    def watch_since(self, data: st.DataObject, prefix: tuple[str, ...], page: int) -> None:
        commit = data.draw(st.integers(0, len(self.states) - 1))
        expected = [
            (f"0.{number}", changes)
            for number, written in enumerate(self.written)
            if number > commit
            and (changes := [(place, value) for place, value in written if place[0][: len(prefix)] == prefix])
        ]

        def told(store: BackendStore) -> Any:
            watch = store.watch(prefix, since=f"0.{commit}")
            watch._page = page
            return [
                (changes.revision, [((event.namespace, event.key), event.value) for event in changes])
                for changes in drained(watch)
            ]

        self.exactly(commit, expected, told)

    @rule(data=st.data())
    def read_some_more(self, data: st.DataObject) -> None:
        """A watch of long ago goes on, stops, and is taken up again by another: every change once, in whole commits."""
        for followed in self.followed:
            if followed.lost:
                continue
            for _ in range(data.draw(st.integers(0, 3))):
                if data.draw(st.booleans()):
                    new = kept_or_compacted(
                        lambda f=followed: f.store.watch(f.prefix, since=f.watch.revision)
                    )
                    followed.lost = isinstance(new, Gone)
                    followed.watch = followed.watch if followed.lost else new
                changes = kept_or_compacted(lambda f=followed: f.watch.next(timeout=0))
                followed.lost = followed.lost or isinstance(changes, Gone)
                if followed.lost or changes is None:
                    break
                followed.seen.append(
                    (changes.revision, [((event.namespace, event.key), event.value) for event in changes])
                )

    @invariant()
    def what_was_followed_is_a_beginning_of_what_was_written(self) -> None:
        for followed in getattr(self, "followed", ()):
            expected = [
                (f"0.{number}", changes)
                for number, written in enumerate(self.written)
                if (
                    changes := [
                        (place, value) for place, value in written if place[0][:1] == followed.prefix[:1]
                    ]
                )
            ]
            assert followed.seen == expected[: len(followed.seen)]

    @rule(place=places)
    def tell_a_history(self, place: Place) -> None:
        told = [store.history(*place) for store in self.stores]
        for versions in told:
            for version in versions:
                commit = Revision.parse(version.revision).seq
                assert self.states[commit].get(place) == version.value
                assert self.states[commit - 1].get(place) is not None or not version.deleted
            if place in self.states[-1]:
                assert versions[0].value == self.states[-1][place]
        first, *others = [[(v.value, v.revision, v.updated_at) for v in versions] for versions in told]
        assert others == [first] * len(others)

    @precondition(lambda self: len(self.states) > 2)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        commit = data.draw(st.integers(0, len(self.states) - 1))
        target, now = self.states[commit], self.states[-1]
        reports: list[Any] = []
        for store in self.stores:
            reports.append(kept_or_compacted(lambda store=store: store.revert(since=f"0.{commit}")))
        one, *others = reports
        if isinstance(one, Gone):
            assert others == [one] * len(others)
            assert commit < self.exact_from
            return
        for other in others:
            assert (one.revision, one.items) == (other.revision, other.items)
            assert [(c.key, c.reason) for c in one.conflicts] == [(c.key, c.reason) for c in other.conflicts]
        left = {(conflict.namespace, conflict.key) for conflict in one.conflicts}
        assert {conflict.reason for conflict in one.conflicts} <= {"compacted"}
        assert not left or commit < self.exact_from
        changed = {(d.namespace, d.key): d.after for d in one.items}
        wanted = {place for place in {*target, *now} if target.get(place) != now.get(place)}
        assert set(changed) == wanted - left
        if one.items:
            self.committed(changed)
        assert {place: value for place, value in self.states[-1].items() if place not in left} == {
            place: value for place, value in target.items() if place not in left
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} after {timedelta(microseconds=self.clock.micros())}>"


quick = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestThePastIsExact = ThePastIsExact.TestCase
TestThePastIsExact.settings = quick


def on_postgres(urls: Callable[[], str], examples: int, steps: int) -> None:
    class AndPostgres(ThePastIsExact):
        also = staticmethod(lambda: PostgresStore.from_conn_string(urls()))

    run_state_machine_as_test(
        AndPostgres,
        settings=settings(quick, max_examples=examples, stateful_step_count=steps, phases=UNSHRUNK),
    )


def test_on_postgres_the_past_is_exact_too(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 8, 20)


@pytest.mark.slow
def test_on_postgres_the_past_is_exact_for_long(postgres_urls: Callable[[], str]) -> None:
    on_postgres(postgres_urls, 300, 50)


@pytest.mark.slow
class TestThePastIsExactForLong(ThePastIsExact.TestCase):
    settings = settings(quick, max_examples=800, stateful_step_count=50)
