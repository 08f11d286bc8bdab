"""Random commits and reads on the reference and on SQL databases: the same outcomes, the same answers, order included."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from perdure import clock
from perdure.errors import Compacted, StorageError
from perdure.storage.contract import (
    OWED,
    Backend,
    CheckpointRow,
    Commit,
    Embedded,
    Filed,
    FileItem,
    ForgetItems,
    HeadIs,
    ItemIs,
    ItemRow,
    Namespace,
    Origin,
    PruneHistory,
    PruneVersions,
    PutItem,
    RefreshItem,
    RemoveCheckpoint,
    RemoveResult,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Revision,
    RunRow,
    SegmentRow,
    Snapshot,
    StagedRow,
    SweepItem,
    WriteRow,
)
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend
from perdure.testing import hostile
from perdure.testing.fake_clock import FakeClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
THREADS = ("t", "u", "é")
NS = ("", "n", "n|\ud800")
IDS = (*hostile.UUIDS[2:6], "1f0c5f2e-0000-6000-8000-00000000000", "a", "b\0", "")
TASKS = (hostile.UUIDS[0], hostile.UUIDS[3], "task")
LOGS = (1, 2, (1 << 63) - 1)
SPACES: tuple[Namespace, ...] = (("a",), ("a", "b"), ("ab",), ("a\0",), ("b", "\ud800"))
KEYS = ("k", "l", "", "\0\ud800")

one = st.sampled_from
payloads = one((b"", b"x", b"\0y", b"z" * 3_000))
chains = st.tuples(one(THREADS), one(NS))
places = st.tuples(one(THREADS), one(NS), one(IDS))


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=3)


@st.composite
def checkpoints(draw: st.DrawFn) -> CheckpointRow:
    thread, ns, id = draw(places)
    parent = draw(one([None, *(other for other in IDS if other < id)]))
    above = None if parent is None else draw(one((ns, ns, "", "other")))
    whole = parent is None or draw(st.booleans())
    return CheckpointRow(
        thread, ns, id, above, parent, draw(st.integers(-2, 3)), draw(one(("loop", "input", "mine"))),
        draw(st.integers(-5, 1 << 51)), draw(one((None, "r", hostile.UUIDS[2]))), whole, draw(payloads), draw(one((None, b"m"))),
    )  # fmt: skip


segments = st.builds(
    SegmentRow, one(THREADS), one(LOGS), st.integers(0, 9), st.integers(1, 3), st.integers(0, 3), payloads
)
writes = st.builds(
    lambda place, *rest: WriteRow(*place, *rest),
    places,
    one(TASKS),
    st.integers(-2, 2),
    one(("p", "q")),
    one(KEYS),
    payloads,
)
staged = st.builds(
    lambda place, *rest: StagedRow(*place, *rest),
    places,
    one(TASKS),
    st.integers(0, 2),
    one(SPACES),
    one(KEYS),
    payloads,
)
runs = st.builds(RunRow, one(THREADS), one(("r", hostile.UUIDS[2])), st.integers(0, 9), payloads)
origins = one((Origin(), Origin("t", IDS[0], "node", None), Origin(None, "a", None, "\ud800")))
ANALYSES = ("one", "two")
WORDS = ("a", "ab", "abc", "\ud800", "b")
filed = st.builds(
    lambda analysis, counts: Filed(analysis, counts, sum(counts.values())),
    one(ANALYSES),
    st.dictionaries(one(WORDS), st.integers(1, 3), max_size=3),
)
MODELS = ("m", "n")
embedded = st.builds(Embedded, one(MODELS), one((b"", b"1234", b"12345678"))) | st.just(OWED)
puts = st.builds(
    PutItem,
    one(SPACES),
    one(KEYS),
    st.none() | payloads,
    origins,
    st.none() | filed,
    one((None, None, (), ("a", "b.c"))),
    st.none() | embedded,
    one((None, None, 20, 200)),
    one((None, None, 90)),
    st.booleans(),
    one((None, None, (5, 5), (5, 90))),
)
removals = st.one_of(
    st.builds(RemoveThread, one(THREADS)),
    st.builds(RemoveCheckpoint, one(THREADS), one(NS), one(IDS)),
    st.builds(RemoveSegments, one(THREADS), one(LOGS), st.integers(0, 9)),
    st.builds(RemoveStaged, one(THREADS), one(NS), one(IDS)),
    st.builds(RemoveWrites, one(THREADS), one(NS), one(IDS)),
    st.builds(RemoveResult, one(THREADS), one(NS), one(IDS), one(TASKS)),
    st.builds(ForgetItems, one(((), *SPACES))),
    st.builds(PruneHistory, st.integers(0, 300), st.integers(0, 5)),
    st.builds(
        PruneVersions,
        st.lists(st.tuples(one(SPACES), one(KEYS)), max_size=3).map(tuple),
        st.integers(1, 3),
        st.integers(0, 4),
    ),
)
rows = st.fixed_dictionaries(
    {
        "removals": st.lists(removals, max_size=2) | st.just([]),
        "runs": few(runs) | st.just([]),
        "checkpoints": few(checkpoints()),
        "segments": few(segments) | st.just([]),
        "writes": few(writes) | st.just([]),
        "staged": few(staged) | st.just([]),
        "items": few(puts),
    }
)
kinds = one(("right", "right", "wrong"))
expectations = st.tuples(
    few(st.tuples(chains, kinds)),
    few(st.tuples(one(SPACES), one(KEYS), kinds)),
    few(st.tuples(one(SPACES), one(KEYS), kinds, st.none() | filed, st.none() | embedded)),
    few(st.tuples(one(SPACES), one(KEYS), kinds, st.none() | st.integers(0, 500))),
)


class AgreesWithTheReference(RuleBasedStateMachine):
    """Whatever is committed, in whatever order, alone or in groups, a database answers as the plain dicts do."""

    lasts = True  # what was committed is there when it is opened again

    def start(self) -> None:
        self.clock = FakeClock(EPOCH).__enter__()
        self.backends: list[Backend] = [MemoryBackend(), self.opened()]

    def opened(self) -> Backend:
        raise NotImplementedError

    def teardown(self) -> None:
        for backend in self.backends:
            backend.close()
        self.clock.__exit__(None, None, None)

    def commits_for(self, backend: Backend, plans: list[Any]) -> list[Commit]:
        """The plans with expectations that are right, or wrong, now: numbers of versions differ between backends."""
        found: list[Commit] = []
        with backend.read() as now:
            for id, at, fields, (heads, items, filed, lives) in plans:
                expected = [HeadIs(*c, now.head(*c) if kind == "right" else "no such") for c, kind in heads]
                versions = [
                    ItemIs(space, key, self.version(now, space, key, kind)) for space, key, kind in items
                ]
                filings = [
                    FileItem(space, key, self.version(now, space, key, kind) or -1, *how)
                    for space, key, kind, *how in filed
                ]
                ends = [
                    SweepItem(space, key)
                    if until is None
                    else RefreshItem(space, key, self.version(now, space, key, kind) or -1, until)
                    for space, key, kind, until in lives
                ]
                found.append(
                    Commit(id, at, heads=expected, versions=versions, filings=filings, lives=ends, **fields)
                )
        return found

    @staticmethod
    def version(now: Snapshot, space: Namespace, key: str, kind: str) -> int | None:
        item = now.item(space, key)
        if kind == "wrong":
            return 1 << 60 if item is None else None
        return None if item is None else item.version

    @rule(
        plans=st.lists(st.tuples(st.integers(0, 400), rows, expectations), min_size=1, max_size=5),
        alone=st.booleans(),
    )
    def commit(self, plans: list[Any], alone: bool) -> None:
        named = [(clock.uuid6().bytes, *plan) for plan in plans]
        outcomes: list[list[str]] = []
        for backend in self.backends:
            got: list[Any] = []
            if alone:
                for plan in named:
                    got += backend.commit_group(self.commits_for(backend, [plan]))
            else:
                got = backend.commit_group(self.commits_for(backend, named))
            outcomes.append([str(o) if isinstance(o, Revision) else type(o).__name__ for o in got])
        assert outcomes[0] == outcomes[1], outcomes

    @rule(at=st.integers(0, 500))
    def look_at_another_time(self, at: int) -> None:
        self.clock.set(EPOCH + timedelta(microseconds=at))

    @rule(space=one(((), *SPACES)), until=st.integers(0, 500), limit=st.integers(0, 5))
    def list_what_has_expired(self, space: Namespace, until: int, limit: int) -> None:
        self.both(lambda now: self.plain(now, now.lapsed(space, until, limit)))

    @rule()
    def open_again(self) -> None:
        if self.lasts:
            self.backends[1].close()
            self.backends[1] = self.opened()

    @rule()
    def vacuum(self) -> None:
        self.backends[1].vacuum()

    @rule(
        place=places, limit=st.integers(0, 5) | st.none(), thread=one((None, *THREADS)), ns=one((None, *NS))
    )
    def list_checkpoints(
        self, place: tuple[str, str, str], limit: int | None, thread: str | None, ns: str | None
    ) -> None:
        self.both(lambda now: now.checkpoints(thread, ns, place[2], limit))
        self.both(lambda now: now.checkpoints(thread, ns, None, limit))
        self.both(lambda now: now.following(*place))
        self.both(lambda now: now.checkpoint(*place))

    @rule(place=places)
    def follow_a_line(self, place: tuple[str, str, str]) -> None:
        def line(now: Snapshot) -> Any:
            try:
                return now.lineage(*place)
            except StorageError as error:
                return type(error).__name__

        self.both(line)

    @rule(space=one(((), *SPACES, ("b",))), limit=st.integers(0, 6), skip=st.integers(0, 6))
    def list_items(self, space: Namespace, limit: int, skip: int) -> None:
        self.both(lambda now: self.plain(now, now.items(space, None, limit)))
        self.both(lambda now: now.namespaces(space))

        def page(now: Snapshot) -> Any:
            first = now.items(space, None, skip)
            return self.plain(now, now.items(space, first[-1].version if first else None, limit))

        self.both(page)

    @rule(space=one(((), *SPACES, ("b",))), analysis=one(ANALYSES), most=st.integers(0, 3))
    def find_words(self, space: Namespace, analysis: str, most: int) -> None:
        def answer(now: Snapshot) -> Any:
            found: list[Any] = [now.text_totals(space, analysis), now.terms(space, analysis, "a", most)]
            found.append(self.plain(now, now.strays(space, analysis)))
            for word in WORDS:
                postings = now.postings(space, analysis, word)
                refs = [posting[0] for posting in postings]
                rows = now.rows(refs)
                living = [one for one in postings if one[0] in rows]  # others expired, and were not swept
                ranked = [(*rows[one[0]][:2], *one[1:]) for one in living]
                assert now.refs([(row.namespace, row.key) for row in rows.values()]).keys() == rows.keys()
                assert sorted(now.postings_in(refs, analysis, word)) == sorted(postings)
                assert now.text_lengths(refs, analysis) == {one[0]: one[2] for one in living}
                found.append(len(postings))
                found.append((sorted(ranked), now.frequency(space, analysis, word, most)))
            return found

        self.both(answer)

    @rule(space=one(((), *SPACES, ("b",))), model=one(MODELS), after=st.integers(0, 20))
    def find_vectors(self, space: Namespace, model: str, after: int) -> None:
        def answer(now: Snapshot) -> Any:
            found: list[Any] = []
            for number, items, changed in now.vector_spaces(space, model):
                rows = now.vectors(number, model, after, 0, 1 << 60)
                named = now.rows([ref for ref, _ in rows])
                assert len(now.embedded(number, model)) == items
                living = [(*named[ref][:2], data) for ref, data in rows if ref in named]  # as above
                found.append((items, changed, len(rows), sorted(living)))
            return found

        self.both(answer)

    @rule(after=st.integers(0, 9), limit=st.integers(1, 9))
    def find_what_is_owed(self, after: int, limit: int) -> None:
        def answer(now: Snapshot) -> Any:
            every = now.owed(0, 99)
            assert every == sorted(every, key=lambda row: row.version)
            behind = every[after - 1].version if 0 < after <= len(every) else 0
            found = now.owed(behind, limit)
            assert found == [row for row in every if row.version > behind][:limit]
            return [row[:3] for row in found]

        self.both(answer)

    @rule(after=st.integers(0, 40), limit=st.integers(1, 9))
    def read_changes(self, after: int, limit: int) -> None:
        self.both(lambda now: self.plain(now, now.changes(Revision(0, after), limit)))

    @rule(
        seq=st.integers(0, 40),
        space=one(((), *SPACES, ("b",))),
        limit=st.integers(1, 6),
        key=one(KEYS),
        at=st.none() | st.integers(0, 500),
    )
    def look_back(self, seq: int, space: Namespace, limit: int, key: str, at: int | None) -> None:
        def view(now: Snapshot, ask: Any) -> Any:
            try:
                return ask(now, Revision(0, seq))
            except Compacted as error:
                return error.asked, error.oldest

        def pages(now: Snapshot, then: Revision) -> Any:
            whole = now.items_at(space, then, None, 10_000, at)
            paged = now.items_at(space, then, None, limit, at)
            while page := now.items_at(space, then, paged[-1].version if paged else None, limit, at):
                paged += page
            assert paged == whole
            return self.plain(now, whole)

        def single(now: Snapshot, then: Revision) -> Any:
            row = now.item_at(space, key, then, at)
            return None if row is None else self.plain(now, [row])

        def history(now: Snapshot) -> Any:
            versions, whole = now.history(space, key, limit)
            return self.plain(now, versions), whole

        self.both(lambda now: view(now, pages))
        self.both(lambda now: view(now, single))
        self.both(lambda now: view(now, lambda now, then: now.namespaces_at(space, then, at)))
        self.both(history)
        for thread in (None, *THREADS):
            self.both(lambda now, t=thread: now.touched(space, Revision(0, seq), t))
        for place in ((), space):
            self.both(lambda now, place=place: now.complete_since(place, Revision(0, seq)))
        self.both(lambda now: (now.size(space), now.forgettable(space)))
        self.both(lambda now: (now.floor(), [now.revision_at(at) for at in (-1, seq * 10, 400)]))

    @rule(count=st.integers(0, 3), seq=st.integers(0, 40), at=st.none() | st.integers(0, 500))
    def stand_beside(self, count: int, seq: int, at: int | None) -> None:
        places = [(space, key) for space in SPACES for key in KEYS]
        then = Revision(0, seq)

        def beside(now: Snapshot, rows: list[ItemRow], around: Any) -> Any:
            numbers = now.numbers(places)
            standing = [(row.namespace, (row.created_at, numbers[row.namespace, row.key])) for row in rows]
            anchors = [*standing, *((space, (5, 1 << 62)) for space in SPACES)]
            found: list[Any] = []
            for (space, where), near in zip(anchors, around(anchors), strict=True):
                ordered = sorted(
                    (other, row) for (name, other), row in zip(standing, rows, strict=True) if name == space
                )
                before = [one for one in ordered if one[0] < where]
                behind = [one for one in ordered if one[0] > where]
                expected = before[max(0, len(before) - count) :] + behind[:count]
                assert [(other, row.version) for other, row in near] == [
                    (other, row.version) for other, row in expected
                ]
                found.append([(other[0], row[:2]) for other, row in near])
            return found

        def present(now: Snapshot) -> Any:
            rows = now.items((), None, 10_000)
            numbers = now.numbers(places)
            return (
                beside(now, rows, lambda anchors: now.around(anchors, count)),
                sorted(numbers, key=lambda place: (place[0], numbers[place])),
                [row.updated_at for row in rows]
                == [now.times([ref])[ref] for row in rows for ref in now.refs([(row.namespace, row.key)])],
            )

        def past(now: Snapshot) -> Any:
            try:
                rows = now.items_at((), then, None, 10_000, at)
                return beside(now, rows, lambda anchors: now.around_at(anchors, count, then, at))
            except Compacted as error:
                return error.asked, error.oldest

        self.both(present)
        self.both(past)

    @staticmethod
    def plain(now: Snapshot, items: list[ItemRow]) -> list[ItemRow]:
        """With ranks for versions."""
        ranks = {row.version: n for n, row in enumerate(now.changes(None, 10_000))}
        return [row._replace(version=ranks[row.version]) for row in items]

    @invariant()
    def they_remember_the_same(self) -> None:
        def everything(now: Snapshot) -> Any:
            tables = (
                "checkpoints",
                "segments",
                "writes",
                "staged",
                "items",
                "history",
                "runs",
                "postings",
                "vectors",
            )
            return (
                now.revision(),
                [now.count(table) for table in tables],
                now.threads(None, 99),
                [(now.heads(thread), now.logs(thread)) for thread in THREADS],
                [now.segments(thread, log, 8) for thread in THREADS for log in LOGS],
                [now.run(thread, run) for thread in THREADS for run in ("r", hostile.UUIDS[2])],
                now.checkpoints(None, None, None, None),
                self.plain(now, now.changes(None, 10_000)),
                self.plain(now, now.items((), None, 10_000)),
                [now.time_of(Revision(0, seq)) for seq in (0, 1, 7, 99)],
            )

        self.both(everything)
        for thread in THREADS:
            for ns in NS:
                self.both(
                    lambda now, t=thread, n=ns: [(now.writes(t, n, id), now.staged(t, n, id)) for id in IDS]
                )

    @invariant()
    def what_is_made_of_items_agrees_with_them(self) -> None:
        for backend in self.backends:
            with backend.read() as now:
                assert now.disagreements() == []

    def both(self, ask: Any) -> None:
        answers: list[Any] = []
        for backend in self.backends:
            with backend.read() as now:
                answers.append(ask(now))
        assert answers[0] == answers[1]


class SqliteAgreesWithTheReference(AgreesWithTheReference):
    """SQLite does, in a file and in memory."""

    @initialize(in_memory=st.booleans())
    def begin(self, in_memory: bool) -> None:
        self.directory = tempfile.mkdtemp()
        self.path = None if in_memory else f"{self.directory}/random.db"
        self.lasts = not in_memory
        self.start()

    def opened(self) -> Backend:
        return SqliteBackend(self.path, synchronous="OFF")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.directory)


class PostgresAgreesWithTheReference(AgreesWithTheReference):
    """Postgres does.

    A commit that fails has drawn a number; it is given back here, where nobody else draws any, so that numbers can be
    compared.
    """

    def __init__(self, urls: Callable[[], str], admin: Any) -> None:
        super().__init__()
        self.url = urls()
        self.admin = admin

    @initialize()
    def begin(self) -> None:
        self.start()

    def opened(self) -> Backend:
        from perdure.storage.postgres import PostgresBackend

        backend = PostgresBackend(self.url)
        work: Any = backend._work
        write = work._write

        schema = self.url.partition("schema=")[2]
        newest = f"(SELECT coalesce(max(seq), 0) FROM {schema}.perdure_commits)"  # noqa: S608 - a name of ours

        def give_back() -> None:
            self.admin.execute(f"SELECT setval('{schema}.perdure_seq', {newest} + 1, false)")

        def written(*given: Any) -> None:
            give_back()
            write(*given)
            give_back()

        work._write = written
        return backend


quick = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestSqliteAgreesWithTheReference = SqliteAgreesWithTheReference.TestCase
TestSqliteAgreesWithTheReference.settings = quick


@pytest.mark.slow
class TestItAgreesForLong(SqliteAgreesWithTheReference.TestCase):
    settings = settings(quick, max_examples=600, stateful_step_count=40)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "how",
    [
        settings(quick, max_examples=10),
        pytest.param(settings(quick, max_examples=300, stateful_step_count=40), marks=pytest.mark.slow),
    ],
    ids=["quick", "long"],
)
def test_postgres_agrees_with_the_reference(
    postgres_urls: Callable[[], str], postgres_admin: Any, how: settings
) -> None:
    run_state_machine_as_test(
        lambda: PostgresAgreesWithTheReference(postgres_urls, postgres_admin), settings=how
    )
