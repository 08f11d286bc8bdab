"""Many at once: threads, coroutines, processes, forks, two spellings of a path. Nothing is lost, nothing stands twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crash.kit import SOURCE, TESTS
from crash.program import State, checked_chains, one_more, thread
from databases import KINDS, POSTGRES
from perdure import Database, clock, connect
from perdure.errors import Conflict, PerdureError, StaleThread, StorageError
from perdure.graph import START, StateGraph
from perdure.testing import FakeClock
from perdure.types import Command, interrupt

MANY = 64
STEPS = 5


def counts(state: State, *, store: Any) -> State:
    if state["total"] == 0:
        store.update(("counts",), "all", one_more)
    store.update(("counts",), state["name"], one_more)
    store.put(("seen", state["name"]), str(state["total"]), {"total": state["total"]})
    return {"total": 1, "log": [str(state["total"])]}


async def counts_async(state: State, *, store: Any) -> State:
    await asyncio.sleep(0)
    return counts(state, store=store)


def looping(node: Callable[..., Any] = counts, steps: int = STEPS) -> StateGraph[Any]:
    """A graph that counts in memory, so many steps."""
    drawing: Any = StateGraph(State).add_node("count", node).add_edge(START, "count")
    return drawing.add_conditional_edges(
        "count", lambda state: "count" if state["total"] < steps else "__end__"
    )


def begin(name: str) -> dict[str, Any]:
    return {"log": [], "total": 0, "name": name}


def check(db: Database, names: list[str], steps: int = STEPS) -> None:
    """Every thread counted once a step in its state and in memory, and once in what all share."""
    graph = looping(steps=steps).compile(db)
    for name in names:
        assert graph.get_state(thread(name)).values["total"] == steps, name
        seen = db.store.search(("seen", name), limit=steps + 1)
        assert [item.key for item in seen] == [str(number) for number in reversed(range(steps))]
        own = db.store.get(("counts",), name)
        assert own is not None
        assert own.value == {"n": steps}
    counted = db.store.get(("counts",), "all")
    assert counted is not None
    assert counted.value == {"n": len(names)}
    checked_chains(db)


@pytest.fixture(params=["sqlite", POSTGRES])
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Any:
    with connect(url_of(request.param)) as opened:
        yield opened


NAMES = [f"t{number}" for number in range(MANY)]


@pytest.mark.parametrize("durability", ["sync", pytest.param("exit", marks=pytest.mark.slow), "async"])
def test_64_threads_at_once_on_one_database(db: Database, durability: str) -> None:
    graph = looping().compile(db)

    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(lambda name: graph.invoke(begin(name), thread(name), durability=durability), NAMES))

    check(db, NAMES)


@pytest.mark.parametrize("node", [counts, counts_async])
@pytest.mark.parametrize(
    "durability",
    [pytest.param("sync", marks=pytest.mark.slow), pytest.param("exit", marks=pytest.mark.slow), "async"],
)
async def test_64_coroutines_at_once_on_one_database(db: Database, durability: str, node: Any) -> None:
    graph = looping(node).compile(db)

    await asyncio.gather(*(graph.ainvoke(begin(name), thread(name), durability=durability) for name in NAMES))

    check(db, NAMES)


async def test_threads_and_coroutines_at_once_on_one_database(db: Database) -> None:
    graph = looping().compile(db)
    half = MANY // 2

    def in_thread(name: str) -> None:
        graph.invoke(begin(name), thread(name))

    with ThreadPoolExecutor(half) as pool:
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(pool, in_thread, name) for name in NAMES[:half]]
        await asyncio.gather(*(graph.ainvoke(begin(name), thread(name)) for name in NAMES[half:]), *waiting)

    check(db, NAMES)


# -- processes -------------------------------------------------------------------------------------------------------


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs `program` after `from crash.test_concurrency import *`."""
    names = "begin, check, counts, looping"
    lines = f"import sys\nfrom perdure import connect\nfrom crash.program import thread\nfrom crash.test_concurrency import {names}\n"
    return subprocess.Popen(
        [sys.executable, "-c", lines + program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))},
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate("go\n" if process.stdin else None, timeout=100)
    assert process.returncode == 0, f"{out}\n{err}"
    return out.strip()


def test_two_processes_on_one_database(db: Database) -> None:
    program = """
with connect(sys.argv[1]) as db:
    graph = looping().compile(db)
    for number in range(10):
        graph.invoke(begin(f"{sys.argv[2]}{number}"), thread(f"{sys.argv[2]}{number}"))
"""
    both = [start(program, db.url, name) for name in ("left", "right")]
    for process in both:
        finished(process)

    check(db, [f"{name}{number}" for name in ("left", "right") for number in range(10)])


def test_the_same_thread_from_two_processes_one_wins(db: Database) -> None:
    program = """
from perdure.errors import Conflict
from perdure.graph import START, StateGraph
def waits(state, *, store):
    print("here", flush=True)
    sys.stdin.readline()
    return counts(state, store=store)
with connect(sys.argv[1]) as db:
    graph = looping(waits, 1).compile(db)
    try:
        graph.invoke(begin("t"), thread("t"), durability="sync")
        print("won")
    except Conflict as error:
        print(type(error).__name__)
"""
    looping(steps=1).compile(db).update_state(thread("t"), begin("t"), as_node="__start__")
    both = [start(program, db.url) for _ in range(2)]
    seen: list[str] = []
    for (
        process
    ) in both:  # both loaded the same head, unless the first commit of one came before the other's load
        assert process.stdout is not None
        seen.append(process.stdout.readline().strip())

    ends = sorted(seen + [line for process in both for line in finished(process).splitlines()])

    assert ends.count("won") == 1, ends
    assert ends.count("StaleThread") == 1, ends
    assert db.store.get(("counts",), "all").value == {"n": 1}  # type: ignore[union-attr] - it is there
    checked_chains(db)


# -- stale writers, clocks, ends -------------------------------------------------------------------------------------


def test_a_stale_writer_gets_stale_thread_and_writes_nothing(db: Database) -> None:
    program = """
with connect(sys.argv[1]) as db:
    looping(steps=1).compile(db).invoke(begin("t"), thread("t"))
"""

    def is_overtaken(state: State, *, store: Any) -> State:
        finished(start(program, db.url))
        store.put(("late",), "t", {"is": "late"})
        return {"total": 1}

    graph = looping(is_overtaken, 1).compile(db)

    with pytest.raises(StaleThread, match="moved on"):
        graph.invoke(begin("t"), thread("t"), durability="sync")

    assert db.store.get(("late",), "t") is None
    check(db, ["t"], 1)


def test_two_calls_at_once_on_a_thread_the_later_gets_a_conflict(db: Database) -> None:
    inside, over = threading.Event(), threading.Event()

    def waits(state: State, *, store: Any) -> State:
        inside.set()
        over.wait(10)
        return counts(state, store=store)

    graph = looping(waits, 1).compile(db)
    first = threading.Thread(target=graph.invoke, args=(begin("t"), thread("t")))
    first.start()
    inside.wait(10)

    with pytest.raises(Conflict, match="at work"):
        graph.invoke(begin("t"), thread("t"))

    over.set()
    first.join()
    check(db, ["t"], 1)


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_a_clock_set_back_an_hour_between_two_steps(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(url) as db, FakeClock() as now:

        def sets_back() -> None:
            now.advance(hours=-1)
            monkeypatch.setattr(clock, "_last_tick", 0)  # as in another process, which has seen no later time

        def sets_the_clock_back(state: State, *, store: Any) -> State:
            sets_back()
            if state["total"] == 2 and state["log"][-1:] != ["asked"]:
                assert interrupt("go on?") == "yes"
            return counts(state, store=store)

        graph = looping(sets_the_clock_back).compile(db)
        graph.invoke(begin("t"), thread("t"))
        sets_back()
        graph.invoke(Command(resume="yes"), thread("t"))

        check(db, ["t"])
        ids = [each.config["configurable"]["checkpoint_id"] for each in graph.get_state_history(thread("t"))]
        steps = [each.metadata["step"] for each in graph.get_state_history(thread("t"))]
        assert ids == sorted(ids, reverse=True)
        assert steps == sorted(steps, reverse=True)
        assert all(item.created_at <= item.updated_at for item in db.store.search(()))


@pytest.mark.parametrize("url", KINDS, indirect=True)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_database_closed_while_its_saver_runs_says_so(url: str, durability: str) -> None:
    db = connect(url)

    def closes(state: State, *, store: Any) -> State:
        if state["total"] == 2:
            db.close()
        return counts(state, store=store)

    with pytest.raises(PerdureError, match="closed"):
        looping(closes).compile(db).invoke(begin("t"), thread("t"), durability=durability)

    if not url.startswith("memory"):
        with connect(url) as again:
            graph = looping().compile(again)
            state = graph.get_state(thread("t"))
            graph.invoke(None if state.next else begin("t"), thread("t"))
            check(again, ["t"])


def test_a_store_closed_while_its_saver_runs(tmp_path: Path) -> None:
    from perdure.checkpoint.sqlite import SqliteSaver
    from perdure.store.sqlite import SqliteStore

    path = str(tmp_path / "c.db")
    with SqliteSaver.from_conn_string(path) as saver:
        with SqliteStore.from_conn_string(path) as store:
            outer: Any = store

            def closes(state: State, *, store: Any) -> State:
                if state["total"] == 2:
                    outer.close()
                return counts(state, store=store)

            graph = looping(closes).compile(checkpointer=saver, store=store)
            graph.invoke(
                begin("t"), thread("t"), durability="sync"
            )  # the run that is at work keeps the database

            with pytest.raises(StorageError, match="closed"):
                graph.invoke(begin("next"), thread("next"))
            with pytest.raises(StorageError, match="closed"):
                store.get(("counts",), "all")

        assert graph.get_state(thread("next")).created_at is None  # nothing of the second call was written
        with SqliteStore.from_conn_string(path) as store:
            assert len(store.search(("seen", "t"))) == STEPS
            counted = store.get(("counts",), "all")
            assert counted is not None
            assert counted.value == {"n": 1}


def test_two_spellings_of_one_path_are_one_database(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    urls = [f"sqlite:///{tmp_path}/{name}" for name in ("a.db", "inner/../a.db", "./a.db", "link.db")]
    opened = [connect(url) for url in urls]
    graphs = [looping().compile(db) for db in opened]

    with ThreadPoolExecutor(8) as pool:
        jobs = [(graph, f"t{number}-{turn}") for number, graph in enumerate(graphs) for turn in range(4)]
        list(pool.map(lambda job: job[0].invoke(begin(job[1]), thread(job[1])), jobs))

    assert len({db.backend.identity for db in opened}) == 1
    for db in opened[1:]:
        db.close()
    check(opened[0], [name for _, name in jobs])
    opened[0].close()


def test_a_saver_and_a_store_on_two_spellings_commit_together(tmp_path: Path) -> None:
    from perdure.checkpoint.sqlite import SqliteSaver
    from perdure.store.sqlite import SqliteStore

    (tmp_path / "inner").mkdir()
    with (
        SqliteSaver.from_conn_string(str(tmp_path / "a.db")) as saver,
        SqliteStore.from_conn_string(str(tmp_path / "inner" / ".." / "a.db")) as store,
    ):
        store.setup()
        looping().compile(checkpointer=saver, store=store).invoke(begin("t"), thread("t"), durability="sync")

        backend = saver.__perdure_backend__.backend  # type: ignore[union-attr] - an open saver has one
        with backend.read() as snapshot:
            assert snapshot.revision().seq == STEPS + 1  # the input, and one commit a step


FORKING = """
import os
db = connect(sys.argv[1])
graph = looping().compile(db)
graph.invoke(begin("before"), thread("before"))
child = os.fork()
name = "parent" if child else "child"
for number in range(5):
    graph.invoke(begin(f"{name}{number}"), thread(f"{name}{number}"), durability=sys.argv[2])
db.close()
if not child:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_fork_with_an_open_database_both_go_on(db: Database, durability: str) -> None:
    finished(start(FORKING, db.url, durability))

    names = [f"{name}{number}" for name in ("parent", "child") for number in range(5)]
    check(db, ["before", *names])


def test_a_memory_database_does_not_cross_a_fork() -> None:
    program = """
import os
from perdure.errors import PerdureError
db = connect("memory://")
graph = looping().compile(db)
graph.invoke(begin("before"), thread("before"))
child = os.fork()
if not child:
    try:
        graph.invoke(begin("child"), thread("child"))
    except PerdureError as error:
        os._exit(7 if "fork" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
check(db, ["before"])
"""
    assert finished(start(program)) == "7"
