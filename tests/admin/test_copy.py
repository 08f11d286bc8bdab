"""A copy is the same threads and the same memory, past included, whatever keeps either of them, and goes on where it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

import perdure
from admin.equal import assert_equal, checkpoints_of, memory_of, view_of, views_of
from admin.rooms import BEGIN, KEY, OTHER_KEY, talk, talker
from databases import KINDS, POSTGRES, QUICK
from perdure import admin
from perdure.admin import copying
from perdure.admin.insides import codec_of
from perdure.errors import PerdureError, StorageError
from perdure.storage.chains import aad
from perdure.storage.contract import PruneHistory, StagedRow, commit_now
from perdure.testing.fake_clock import FakeClock
from perdure.testing.faulty import Faulty, Killed, Moment
from perdure.types import Command

PAIRS: list[Any] = [
    ("memory", "sqlite"),
    ("memory", "memory"),
    ("sqlite", "sqlite"),
    ("sqlite", "sqlite with a key"),
    ("sqlite with a key", "sqlite"),
    ("sqlite with a key", "sqlite with another key"),
    ("sqlite", "memory"),
    *(
        pytest.param(pair, marks=pytest.mark.postgres)
        for pair in (
            ("sqlite", "postgres"),
            ("memory", "postgres with a key"),
            ("postgres", "sqlite"),
            ("postgres with a key", "memory"),
            ("postgres", "postgres"),
            ("postgres with a key", "postgres with another key"),
        )
    ),
]
KEYS = {"with a key": KEY, "with another key": OTHER_KEY}


class Rooms:
    """Databases of all kinds, closed at the end."""

    def __init__(self, url_of: Callable[[str], str]) -> None:
        self.url_of = url_of
        self.stack = ExitStack()

    def open(self, kind: str) -> perdure.Database:
        """An empty one, another at each call: `sqlite`, `postgres with a key`, ..."""
        engine, _, key = kind.partition(" ")
        return self.stack.enter_context(
            perdure.connect(self.url_of(engine), encryption=KEYS.get(key), ttl={}, keep_history="all")
        )


@pytest.fixture
def rooms(url_of: Callable[[str], str]) -> Iterator[Rooms]:
    made = Rooms(url_of)
    with made.stack:
        yield made


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
def pair(request: pytest.FixtureRequest, rooms: Rooms) -> tuple[perdure.Database, perdure.Database]:
    return rooms.open(request.param[0]), rooms.open(request.param[1])


def test_threads_and_memory_stand_there_as_here_with_their_past(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    begin = datetime.now(UTC)
    talk(source)
    between = datetime.now(UTC)
    source.store.put(("odd", "\ud800"), "\0", {"text": "\udfff", "n": 2**70}, index=["text"])
    source.store.put(("users", "u0"), "gone", {"n": 1})
    source.store.delete(("users", "u0"), "gone")

    done = admin.copy(source, target)

    assert (done.threads, done.complete, done.changed) == (3, True, 0)
    assert_equal(source, target, [begin, between, datetime.now(UTC)])
    assert views_of(target, [between]) == views_of(source, [between])
    assert admin.check(target) == []
    again = admin.copy(source, target)
    assert (again.threads_copied, again.versions_copied) == (0, 0)
    assert again.digest_of_threads == done.digest_of_threads
    assert again.digest_of_memory == done.digest_of_memory


def test_a_thread_that_waits_for_an_answer_goes_on_there_with_the_memory_that_it_had_staged(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    config: Any = {"configurable": {"thread_id": "t0"}}
    talk(source, threads=1, turns=3)
    source.store.put(("aside",), "k", {"n": -1})
    before = source.store.get(("aside",), "k")
    asked = (
        talker(source).invoke({"log": []}, config)
        if not talker(source).get_state(config).interrupts
        else None
    )
    del asked
    assert talker(source).get_state(config).next

    admin.copy(source, target)
    for db in pair:
        talker(db).invoke(Command(resume="yes"), config)

    assert talker(target).get_state(config).values == talker(source).get_state(config).values
    assert target.store.get(("aside",), "k") != before
    assert [item.value for item in target.store.search(())] == [
        item.value for item in source.store.search(())
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ("sqlite", "memory"),
        ("memory", "sqlite with a key"),
        pytest.param(("sqlite", "postgres with a key"), marks=pytest.mark.postgres),
        pytest.param(("postgres", "memory"), marks=pytest.mark.postgres),
    ],
    indirect=True,
)
def test_what_staged_memory_expects_is_expected_by_its_name_in_the_target(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    talk(source, threads=1, turns=1)
    source.store.put(("a",), "k", {"n": 1})
    source.store.put(("b",), "k", {"n": 1})
    source.store.put(("b",), "k", {"n": 2})
    version = {item.namespace: item.version for item in source.store.search(())}
    pieces = codec_of(source)
    head = source.checkpointer.get_tuple({"configurable": {"thread_id": "t0"}})
    assert head is not None
    id = head.config["configurable"]["checkpoint_id"]

    def staged(index: int, namespace: tuple[str, ...], guard: list[Any], base: list[Any]) -> StagedRow:
        payload = pieces.encode([b"{}", 1, guard, base, None, None, None, None, None])
        return StagedRow("t0", "", id, "task", index, namespace, "k", payload)

    rows = [
        staged(0, ("a",), [version["a",]], []),
        staged(1, ("b",), [], [version["b",]]),
        staged(2, ("b",), [12345], []),
        staged(3, ("c",), [None], []),
    ]
    source.backend.commit(commit_now(staged=rows))

    admin.copy(source, target)

    there = {item.namespace: item.version for item in target.store.search(())}
    with target.backend.read() as now:
        found = [
            codec_of(target).decode(row.payload, aad=aad("t0", "staged", id, "task", row.index))[2:4]
            for row in now.staged("t0", "", id)
            if row.task == "task"
        ]
    assert found == [[[there["a",]], []], [[], [there["b",]]], [[-1], []], [[None], []]]


def test_what_has_changed_is_brought_over_and_nothing_else(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    talk(source)
    admin.copy(source, target)
    talk(source, threads=1, turns=1)
    talk(source, threads=1, turns=1, begin=9)
    source.checkpointer.delete_thread("t1")
    source.checkpointer.prune(["t2"])
    source.store.delete(("aside",), "k")

    done = admin.copy(source, target, freeze=True)

    assert (done.threads_copied, done.threads_removed, done.frozen) == (3, 1, True)
    assert_equal(source, target)


def test_what_was_forgotten_in_the_source_leaves_no_trace_in_the_target(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    talk(source)
    admin.copy(source, target)
    source.store.forget(("users", "u1"))
    source.store.put(("users", "u1"), "k1", {"text": "anew"})

    done = admin.copy(source, target)

    assert done.erased > 0
    assert memory_of(target) == memory_of(source)
    assert "likes tea 1" not in str(list(target.store.export(history=True)))


@pytest.mark.parametrize(
    "pair",
    [
        ("memory", "sqlite"),
        pytest.param(("sqlite", "postgres"), marks=pytest.mark.postgres),
        pytest.param(("postgres", "postgres"), marks=pytest.mark.postgres),
    ],
    indirect=True,
)
def test_items_end_there_when_they_end_here_although_they_were_read_meanwhile(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    with FakeClock(BEGIN) as clock:
        for key in ("read", "replaced", "left", "swept"):
            source.store.put(("a",), key, {"n": 1}, ttl=10)
        source.store.put(("a",), "ever", {"n": 1})
        admin.copy(source, target)
        clock.advance(minutes=6)
        for key in ("read", "replaced"):
            assert source.store.get(("a",), key) is not None
        clock.advance(minutes=5)
        between = clock.now()
        source.store.put(("a",), "replaced", {"n": 2}, ttl=10)
        source.store.put(("a",), "swept", {"n": 2})
        clock.advance(minutes=1)

        admin.copy(source, target)

        assert memory_of(target) == memory_of(source)
        assert view_of(target, between) == view_of(source, between)
        assert target.store.sweep_ttl() == source.store.sweep_ttl() == 1
        clock.advance(minutes=5)
        assert {item.key for item in target.store.search(())} == {
            item.key for item in source.store.search(())
        }


def test_where_the_source_has_pruned_the_past_the_target_refuses_it_too(
    pair: tuple[perdure.Database, perdure.Database],
) -> None:
    source, target = pair
    talk(source, threads=1, turns=2)
    early = datetime.now(UTC)
    talk(source, threads=2, turns=2)
    source.store.delete(("aside",), "k")
    later = datetime.now(UTC)
    now = int(later.timestamp() * 1e6)
    source.backend.commit(commit_now(removals=[PruneHistory(now)]))
    talk(source, threads=1, turns=1)

    admin.copy(source, target)

    assert view_of(source, early) == "compacted"
    assert view_of(target, early) == "compacted"
    assert view_of(target, datetime.now(UTC)) == view_of(source, datetime.now(UTC))
    assert_equal(source, target, [early, later])


@pytest.mark.parametrize("kind", QUICK)
def test_a_target_with_something_else_in_it_is_refused_untouched(rooms: Rooms, kind: str) -> None:
    source, target = rooms.open("sqlite"), rooms.open(kind)
    talk(source)
    target.store.put(("own",), "k", {"n": 1})

    with pytest.raises(PerdureError, match="not empty"):
        admin.copy(source, target)
    with pytest.raises(PerdureError, match="one database"):
        admin.copy(source, source)

    assert len(memory_of(target)) == 1
    assert checkpoints_of(target) == []


@pytest.mark.parametrize("what", ["thread", "thread alone", "new thread", "item", "new item"])
def test_what_somebody_wrote_into_the_target_is_never_overwritten(
    pair: tuple[perdure.Database, perdure.Database], what: str
) -> None:
    source, target = pair
    talk(source)
    admin.copy(source, target)
    if what == "thread":
        talk(target, threads=1, turns=1)
        talk(source, threads=1, turns=2)
    elif what == "thread alone":
        target.checkpointer.prune(["t0"])
        source.checkpointer.prune(["t0"], keep=2)
    elif what == "new thread":
        talk(target, threads=1, turns=1, begin=9)
    else:
        key = "k0" if what == "item" else "new"
        target.store.put(("users", "u0"), key, {"own": 1})
    before = memory_of(target), checkpoints_of(target)

    with pytest.raises(StorageError, match="somebody else wrote it"):
        admin.copy(source, target)

    if "thread" in what:
        assert checkpoints_of(target) == before[1]
    else:
        assert memory_of(target) == before[0]


def test_a_copy_of_another_source_is_refused(rooms: Rooms) -> None:
    source, other, target = rooms.open("memory"), rooms.open("memory"), rooms.open("sqlite")
    talk(source)
    talk(other)
    admin.copy(source, target)

    with pytest.raises(PerdureError, match="not begun by a copy of this source"):
        admin.copy(other, target)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_writes_to_a_frozen_source_and_everybody_goes_on_afterwards(rooms: Rooms, kind: str) -> None:
    source, target = rooms.open(kind), rooms.open("sqlite")
    talk(source)
    wrote = threading.Event()

    def write() -> None:
        source.store.put(("late",), "k", {"n": 1})
        wrote.set()

    writer = threading.Thread(target=write)

    def look() -> None:
        writer.start()
        assert not wrote.wait(0.15)

    done = admin.copy(source, target, freeze=True, while_frozen=look)

    writer.join(10)
    assert done.complete
    assert wrote.is_set()
    assert target.store.get(("late",), "k") is None
    assert source.store.get(("late",), "k") is not None


def test_a_source_that_is_written_in_the_last_pass_is_told(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = rooms.open("memory"), rooms.open("memory")
    talk(source)
    walk = copying.Comparison.walk

    def walked(self: Any, *arguments: Any, **named: Any) -> Any:
        source.store.put(("always",), "k", {"n": 1})
        return walk(self, *arguments, **named)

    monkeypatch.setattr(copying.Comparison, "walk", walked)
    done = admin.copy(source, target)
    monkeypatch.undo()

    assert not done.complete
    assert admin.copy(source, target).complete
    assert_equal(source, target)


@pytest.mark.parametrize("kind", QUICK)
def test_vectors_come_along_except_into_an_encrypted_database(
    url_of: Callable[[str], str], kind: str
) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]

    index: Any = {"embed": embed, "dims": 2}
    with (
        perdure.connect(url_of(kind), index=index) as source,
        perdure.connect("memory://", index=index) as between,
        perdure.connect(url_of(kind), index=index) as target,
        perdure.connect(url_of(kind), encryption=KEY) as sealed,
    ):
        for n in range(5):
            source.store.put(("a",), f"k{n}", {"text": "x" * (n + 1)})
        admin.copy(source, between)
        admin.copy(between, target)
        admin.copy(source, sealed)
        with source.backend.read() as here, target.backend.read() as there, sealed.backend.read() as nothing:
            assert there.count("vectors") == here.count("vectors") == 5
            assert there.count("postings") == here.count("postings")
            assert (nothing.count("vectors"), nothing.count("postings")) == (0, 0)


def every_moment() -> list[Moment]:
    return [Moment(when, number) for number in range(1, 200) for when in ("before", "after")]


@pytest.mark.parametrize("way", ["raise", "die"])
@pytest.mark.parametrize("kind", ["memory", POSTGRES])
def test_a_copy_that_fails_at_any_commit_goes_on_and_nothing_comes_twice(
    way: Any, kind: str, url_of: Callable[[str], str]
) -> None:
    with perdure.connect("memory://") as source:
        talk(source, threads=2, turns=2)
        failed = 0
        for moment in every_moment():
            with perdure.connect(url_of(kind)) as target:
                whole = target.backend
                faulty = Faulty(whole, moment, way)
                target.replace_backend(faulty)
                try:
                    admin.copy(source, target)
                except (Killed, StorageError):
                    failed += 1
                if not faulty.fired:
                    break
                target.replace_backend(whole)
                assert admin.copy(source, target).complete
                assert_equal(source, target)
        assert failed > 10
