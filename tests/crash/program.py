"""A program that can be killed at any instant and run again: it looks where each thread stands, and goes on.

`python -m crash.program PLACE [--durability sync|async|exit] [--kill before|after --at N] [--together] ...`. At its end it prints
one line of JSON: what is remembered (`digest`), every memory write in the order of each key (`memory`), commits made.

The graph: two nodes at once, one of which calls a graph before anything of the thread is written; then four `Send`s, a node that fails first, and two questions, all in one step; then a graph
in a graph in a graph, with memory at each level and a question at the deepest; then a delete and a put-if-absent.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import operator
import threading
from collections.abc import Callable
from itertools import count
from typing import Annotated, Any

from typing_extensions import TypedDict

from crash.kit import in_turn, url_of_place
from crash.nursery import serve
from perdure import Database, connect
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage.sqlite import SqliteBackend
from perdure.testing.crash import CrashingBackend, die
from perdure.testing.digests import digest
from perdure.types import Command, RetryPolicy, Send, interrupt

FANNED = 4
AT_ONCE = RetryPolicy(initial_interval=0.0005, jitter=False, max_attempts=3)
ANSWERS = {"tea?": "green", "cake?": "plum", "deep?": "yes"}
_shell = {"together": False}
_meeting = threading.Barrier(1)


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    total: Annotated[int, operator.add]
    name: str


class Piece(TypedDict):
    i: int
    name: str


class Flaky(Exception):
    """Passes when tried again."""


def one_more(value: dict[str, Any] | None) -> dict[str, Any]:
    return {"n": (value or {"n": 0})["n"] + 1}


def plan(state: State, *, store: Any) -> State:
    store.put(("plans",), state["name"], {"by": state["name"]})
    store.put(("marks", state["name"]), "open", {"is": "open"})
    if _shell["together"]:
        _meeting.wait(20)
    return {"log": ["plan"]}


def small(state: State, *, store: Any) -> State:
    store.update(("counts",), "small", one_more)
    store.put(("notes", state["name"]), "small", {"seen": len(state["log"])})
    return {"log": ["small"]}


def beside_with(graph: Any) -> Callable[..., State]:
    def beside(state: State, *, store: Any) -> State:
        store.update(("counts",), "beside", one_more)
        found = graph.invoke({"log": ["for beside"], "name": state["name"]})
        store.put(("notes", state["name"]), "beside", {"small": found["log"]})
        return {"log": ["beside"]}

    return beside


def fan(state: State) -> list[Send]:
    pieces = [Send("work", {"i": i, "name": state["name"]}) for i in range(FANNED)]
    return [*pieces, Send("flaky", state), Send("tea", state), Send("cake", state)]


def work(piece: Piece, *, store: Any) -> State:
    store.update(("counts",), "all", one_more)
    store.update(("counts",), piece["name"], one_more)
    store.put(("work", piece["name"]), str(piece["i"]), {"i": piece["i"]})
    return {"log": [f"work {piece['i']}"], "total": 1}


def flaky(state: State, runtime: Runtime[Any]) -> State:
    store: Any = runtime.store
    store.update(("counts",), "flaky", one_more)
    store.put(("flaky", state["name"]), "attempts", {"is": "made"}, if_absent=True)
    assert runtime.execution_info is not None
    if runtime.execution_info.node_attempt == 1:
        raise Flaky
    return {"log": ["flaky"], "total": 10}


def asks(question: str) -> Callable[..., State]:
    def node(state: State, *, store: Any) -> State:
        store.update(("counts",), "asked", one_more)
        answer = interrupt(question)
        store.put(("answers", state["name"]), question, {"is": answer})
        return {"log": [f"{question} {answer}"]}

    return node


def gather(state: State, *, store: Any) -> State:
    store.put(("plans",), state["name"], {"by": state["name"], "total": state["total"]})
    return {"log": ["gather"]}


def finish(state: State, *, store: Any) -> State:
    store.delete(("marks", state["name"]), "open")
    store.put(("marks", state["name"]), "closed", {"log": state["log"]}, if_absent=True)
    return {"log": ["finish"]}


# -- a graph in a graph in a graph -----------------------------------------------------------------------------------


def deep_first(state: State, runtime: Runtime[Any]) -> State:
    store: Any = runtime.store
    store.update(("counts",), "deep", one_more)
    assert runtime.execution_info is not None
    if runtime.execution_info.node_attempt == 1:
        raise Flaky
    store.put(("deep", state["name"]), "first", {"of": state["log"]})
    return {"log": ["deep first"]}


def deep_last(state: State, *, store: Any) -> State:
    store.delete(("deep", state["name"]), "first")
    return {"log": ["deep last"], "total": 100}


def middle_first(state: State, *, store: Any) -> State:
    store.update(("counts",), "middle", one_more)
    store.put(("middle", state["name"]), "first", {"is": "here"})
    return {"log": ["middle first"]}


def calls(inner: Any) -> Callable[..., State]:
    def middle_calls(state: State, *, store: Any) -> State:
        store.update(("counts",), "calls", one_more)
        found = inner.invoke({"log": ["given"], "total": 0, "name": state["name"]})
        store.put(("middle", state["name"]), "found", {"log": found["log"]})
        return {"log": ["middle calls"], "total": found["total"]}

    return middle_calls


def drawn() -> StateGraph[Any]:
    """The graph, not compiled."""
    inner: Any = StateGraph(State)
    inner.add_node("deep_first", deep_first, retry_policy=AT_ONCE)
    inner.add_node("deep_asks", asks("deep?")).add_node("deep_last", deep_last)
    inner.add_edge(START, "deep_first").add_edge("deep_first", "deep_asks").add_edge("deep_asks", "deep_last")
    middle: Any = StateGraph(State)
    middle.add_node("middle_first", middle_first).add_node("middle_calls", calls(inner.compile()))
    middle.add_edge(START, "middle_first").add_edge("middle_first", "middle_calls")
    first: Any = StateGraph(State).add_node("small", small).add_edge(START, "small")
    outer: Any = StateGraph(State)
    outer.add_node("plan", plan).add_node("beside", beside_with(first.compile()))
    outer.add_node("work", work).add_node("flaky", flaky, retry_policy=AT_ONCE)
    outer.add_node("tea", asks("tea?")).add_node("cake", asks("cake?"))
    outer.add_node("gather", gather).add_node("middle", middle.compile()).add_node("finish", finish)
    outer.add_edge(START, "plan").add_edge(START, "beside")
    outer.add_conditional_edges("plan", fan, ["work", "flaky", "tea", "cake"])
    outer.add_edge(["tea", "cake"], "gather").add_edge("gather", "middle").add_edge("middle", "finish")
    return outer


# -- going on --------------------------------------------------------------------------------------------------------


def go_on(graph: Any, name: str, **options: Any) -> dict[str, Any]:
    """The thread, from wherever it stands to its end."""
    config = {"configurable": {"thread_id": name}}
    for _ in range(100):
        state = graph.get_state(config)
        if state.created_at is None:
            given: Any = {"log": ["begin"], "total": 0, "name": name}
        elif state.interrupts:
            given = Command(resume={asked.id: ANSWERS[asked.value] for asked in state.interrupts})
        elif state.next:
            given = None
        else:
            return state.values
        graph.invoke(given, config, **options)
    raise AssertionError(f"thread {name} does not end: {graph.get_state(config)}")


def memory_of(db: Database) -> dict[str, list[Any]]:
    """Every write to every key, in order: value, thread, node."""
    handle = db.store.__perdure_backend__
    assert handle is not None
    found: dict[str, list[Any]] = {}
    with db.backend.read() as snapshot:
        for row in snapshot.changes(None, 1 << 30):
            value = None if row.value is None else handle.codec.decode(row.namespace, row.key, row.value)
            found.setdefault(f"{row.namespace} {row.key}", []).append(
                [value, row.origin.thread, row.origin.node]
            )
    return found


def checked_chains(db: Database) -> int:
    """Reads every checkpoint of every chain; how many there are. Raises where one cannot be made from what is stored."""
    from perdure.storage import chains

    read = 0
    with db.backend.read() as snapshot:
        for row in snapshot.checkpoints(None, None, None, None):
            pieces = db.checkpointer.__perdure_backend__.pieces
            assert chains.read_head(snapshot, pieces, row.thread, row.ns, row.id, shadows=False) is not None
            read += 1
    return read


class Counting:
    """A backend that counts what is asked of it."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("enqueue", "lead_now"):
            raise AttributeError(name)
        return getattr(self._backend, name)

    def commit(self, commit: Any, /) -> Any:
        self.commits += 1
        return self._backend.commit(commit)

    def commit_soon(self, commit: Any, done: Any, /) -> None:
        self.commits += 1
        self._backend.commit_soon(commit, done)


MOMENTS = {1: "BEGIN", 2: "INSERT", 3: "COMMIT"}
"""Of a commit on Postgres: locks and all that must be known were asked for, they are answered, all rows and COMMIT are sent."""


def trace(db: Database, call: Callable[[int, str], None]) -> None:
    """Calls with the number, from 1 on, and the text of each statement that the writer's connection begins.

    On Postgres at two moments of every round trip of this process: when all of it was sent, and when all was answered.
    """
    numbers = count(1)
    backend: Any = db.backend
    if type(backend) is SqliteBackend:
        backend._work.database().set_trace_callback(lambda sql: call(next(numbers), sql))
        return
    from perdure.storage.postgres.opening import Connection

    wait = Connection.wait

    def traced(self: Connection, *arguments: Any, **options: Any) -> Any:
        call(next(numbers), "")
        answered = wait(self, *arguments, **options)
        call(next(numbers), "")
        return answered

    Connection.wait = traced


def kill_at_statement(db: Database, number: int) -> None:
    """SIGKILL when the writer's connection begins its `number`-th statement from now: inside of transactions, too."""
    trace(db, lambda at, _: die() if at == number else None)


def kill_leader(db: Database, groups: int, statement: str) -> None:
    """SIGKILL to the leader of the `groups`-th group with several members: as a statement begins, or after its commit."""
    backend: Any = db.backend
    left = [groups]

    def is_it(members: Any) -> bool:
        left[0] -= len(members) > 1
        if len(members) == 1 or left[0]:
            return False
        trace(db, lambda at, sql: die() if (sql or MOMENTS.get(at, "")).startswith(statement) else None)
        return True

    if type(backend) is SqliteBackend:
        write = backend._work.write

        def written(members: Any, outcomes: Any, *, wait: bool) -> bool:
            chosen = is_it(members)
            done = write(members, outcomes, wait=wait)
            if chosen:
                die()
            return done

        backend._work.write = written
        return
    from perdure.storage.postgres.gathering import PostgresGathering

    begin, commit = PostgresGathering.begin, PostgresGathering.commit
    chosen: list[PostgresGathering] = []

    def begun(self: PostgresGathering, members: Any, *rest: Any) -> Any:
        if is_it(members):
            chosen.append(self)
        return begin(self, members, *rest)

    def committed(self: PostgresGathering) -> None:
        commit(self)
        if self in chosen:
            die()

    PostgresGathering.begin, PostgresGathering.commit = begun, committed


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs all threads to their ends; what is remembered then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", help="a file, or a URL")
    parser.add_argument("--durability", default="sync")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kill", choices=("before", "after"), default="before")
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--at-statement", type=int, default=0)
    parser.add_argument(
        "--leader-of", type=int, default=0, help="kill the leader of the n-th group of several"
    )
    parser.add_argument(
        "--leader-at", default="COMMIT", help="as this statement begins, or when all is written"
    )
    parser.add_argument("--together", action="store_true", help="all threads at once, meeting in a node")
    given = parser.parse_args(arguments)
    global _meeting
    names = [f"t{i}" for i in range(given.threads)]
    with connect(url_of_place(given.place)) as db:
        counting: Any = Counting(db.backend)
        if given.at:
            db.replace_backend(CrashingBackend(db.backend, given.at, given.kill))  # type: ignore[arg-type]
        elif given.at_statement:
            kill_at_statement(db, given.at_statement)
        elif given.leader_of:
            kill_leader(db, given.leader_of, given.leader_at)
        elif not given.together:
            db.replace_backend(counting)
        graph = drawn().compile(db)
        options = {"durability": given.durability}
        if given.together:
            states = [graph.get_state(thread(name)) for name in names]
            meeting = [at for at in states if at.created_at is None or {"plan", START} & set(at.next)]
            _meeting = threading.Barrier(max(1, len(meeting)))
            _shell["together"] = True
            runners = [threading.Thread(target=go_on, args=(graph, name), kwargs=options) for name in names]
            for runner in runners:
                runner.start()
            for runner in runners:
                runner.join()
        values = [go_on(graph, name, **options) for name in names]
        memory = memory_of(db)
        return {
            "digest": digest(db),
            "memory": memory,
            "memory_digest": hashlib.sha256(json.dumps(in_turn(memory), sort_keys=True).encode()).hexdigest(),
            "totals": [value["total"] for value in values],
            "checkpoints": checked_chains(db),
            "commits": counting.commits,
        }


def thread(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


if __name__ == "__main__":
    serve(main)
