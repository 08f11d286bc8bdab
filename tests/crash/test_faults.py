"""A commit fails, or the process dies there, at call n, before or after the effect, for n = 1, 2, 3 ... until none is met.

After each: every stored checkpoint can be read and is what the undisturbed run had there; memory is that of a whole number
of steps; then the run goes on, and ends as if nothing had happened.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from crash.kit import Kept, in_turn
from crash.program import State, checked_chains, drawn, go_on, memory_of, thread
from databases import KINDS
from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.errors import StorageError
from perdure.graph import START, StateGraph
from perdure.storage.contract import Backend
from perdure.testing.digests import canonical, digest
from perdure.testing.faulty import Faulty, Killed, Moment, Way
from perdure.types import Command, interrupt

NAME = "t"


class Left(NamedTuple):
    """What a run left."""

    history: list[str]
    groups: list[set[str]]  # memory writes, commit by commit
    pending: int  # records and staged memory


def over(backend: Backend) -> Database:
    """A database whose objects are new; the head cache is, too: this is another process."""
    HEADS.clear()
    db = connect("memory://")
    db.replace_backend(backend)
    return db


def left(db: Database) -> Left:
    """What is stored of the thread and in memory. Reads every checkpoint of every chain."""
    checked_chains(db)
    graph: Any = drawn().compile(db)
    snapshots = list(graph.get_state_history(thread(NAME)))
    history = [
        f"{each.metadata['step']} {each.metadata['source']} {canonical(each.values)}" for each in snapshots
    ]
    groups: dict[Any, set[str]] = {}
    with db.backend.read() as snapshot:
        for row in snapshot.changes(None, 1 << 30):
            who = "" if row.namespace == ("counts",) else row.origin.node  # see `in_turn`
            groups.setdefault(row.revision, set()).add(f"{row.namespace} {row.key} {row.value!r} {who}")
        pending = snapshot.count("staged")
    return Left(history[::-1], [groups[revision] for revision in sorted(groups)], pending)


def starts_with(whole: list[Any], part: list[Any]) -> bool:
    return whole[: len(part)] == part


def disturbed(backend: Backend, moment: Moment, way: Way, durability: str) -> bool:
    """Runs until the fault ends the run, or to the end; whether the fault was met."""
    faulty = Faulty(backend, moment, way)
    with suppress(Killed, StorageError):
        go_on(drawn().compile(over(faulty)), NAME, durability=durability)
    return faulty.fired


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("way", ["raise", "die"])
@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("memory", 7),
        ("sqlite", 19),
        pytest.param("postgres", 29, marks=pytest.mark.postgres),
        *(pytest.param(kind, 1, marks=pytest.mark.slow) for kind in ("memory", "sqlite")),
        pytest.param("postgres", 1, marks=[pytest.mark.slow, pytest.mark.postgres]),
    ],
)
def test_a_fault_at_any_commit_leaves_whole_steps_and_a_run_that_goes_on(
    kind: str, every: int, way: Way, durability: str, kept: Kept
) -> None:
    with kept(kind) as backend:
        go_on(drawn().compile(over(backend)), NAME, durability=durability)
        clean, undisturbed = left(over(backend)), digest(over(backend))
        versions = in_turn(memory_of(over(backend)))
    met = 0
    for number in range(1, 1000, every):
        fired = False
        for when in ("before", "after"):
            moment = Moment(when, number)  # type: ignore[arg-type] - one of the two
            with kept(kind) as backend:
                fired = disturbed(backend, moment, way, durability)
                met += fired

                found = left(over(backend))
                assert starts_with(clean.history, found.history), moment
                assert starts_with(clean.groups, found.groups), moment

                go_on(drawn().compile(over(backend)), NAME, durability=durability)
                assert digest(over(backend)) == undisturbed, moment
                assert in_turn(memory_of(over(backend))) == versions, moment
                assert left(over(backend)) == clean, moment
        if not fired:
            break
    assert met >= (6 if durability == "exit" else 40) // every


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_failed_commit_the_same_objects_go_on(kind: str, kept: Kept) -> None:
    with kept(kind) as backend:
        db = over(Faulty(backend, Moment("before", 3), "raise"))
        graph = drawn().compile(db)

        with pytest.raises(StorageError, match="nothing was written"):
            graph.invoke({"log": ["begin"], "total": 0, "name": NAME}, thread(NAME), durability="sync")

        assert db.store.get(("plans",), NAME) is None
        assert go_on(graph, NAME)["total"] == 128
        assert db.store.get(("plans",), NAME) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_was_taken_is_not_asked_for_again(kind: str, kept: Kept) -> None:
    def asks(state: State) -> State:
        return {"log": [interrupt("?")]}

    drawing: Any = StateGraph(State).add_node("asks", asks).add_edge(START, "asks")
    with kept(kind) as backend:
        drawing.compile(over(backend)).invoke({"log": []}, thread(NAME), durability="sync")
        dying = drawing.compile(over(Faulty(backend, Moment("after", 1), "die")))
        with pytest.raises(Killed):
            dying.invoke(Command(resume="yes"), thread(NAME), durability="sync")

        graph = drawing.compile(over(backend))
        assert graph.get_state(thread(NAME)).interrupts == ()
        assert graph.invoke(None, thread(NAME))["log"] == ["yes"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_a_call_returned_is_durable(kind: str, durability: str, kept: Kept) -> None:
    def puts(state: State, *, store: Any) -> State:
        store.put(("last",), "k", {"is": "here"})
        return {"total": 1}

    graph: Any = StateGraph(State).add_node("puts", puts).add_edge(START, "puts")
    with kept(kind) as backend:
        last = Faulty(backend)
        graph.compile(over(last)).invoke({"total": 0}, thread("first"), durability=durability)
        dead = Faulty(backend, Moment("before", last.commits), "raise")

        with pytest.raises(StorageError, match="nothing was written"):
            graph.compile(over(dead)).invoke({"total": 0}, thread("second"), durability=durability)

        with backend.read() as snapshot:
            assert len(snapshot.changes(None, 100)) == 1


def test_who_is_told_that_records_failed_meets_no_task_at_work(kept: Kept) -> None:
    """What a sibling leaves cannot be recorded while another one works: the run ends when that one has."""
    at_work, go_ahead, ended = threading.Event(), threading.Event(), threading.Event()

    def quick(state: State) -> dict[str, Any]:
        at_work.wait(30)
        return {"log": ["quick"]}

    def waits(state: State) -> dict[str, Any]:
        at_work.set()
        go_ahead.wait(30)
        return {"log": ["waited"]}

    def ends(state: State) -> dict[str, Any]:
        ended.set()
        return {"log": ["ended"]}

    inner: Any = StateGraph(State).add_node("waits", waits).add_node("ends", ends)
    inner.add_edge(START, "waits").add_edge("waits", "ends")
    outer: Any = StateGraph(State).add_node("slow", inner.compile())
    outer.add_node("quick", quick).add_edge(START, "slow").add_edge(START, "quick")
    with kept("memory") as backend:
        faulty = Faulty(backend, Moment("before", 3), "raise")  # behind the beginnings of both graphs
        later = threading.Timer(0.3, go_ahead.set)
        firing = faulty._fail

        def fired(**how: Any) -> Any:
            later.start()
            return firing(**how)

        faulty._fail = fired  # type: ignore[method-assign]
        graph = outer.compile(over(faulty))

        with pytest.raises(StorageError, match="nothing was written"):
            graph.invoke({"log": ["begin"], "total": 0, "name": NAME}, thread(NAME), durability="sync")

        assert ended.is_set()
        later.join()
