"""Where the time of a step goes: `python dev.py bench --profile` prints it and writes `docs/reference/profile.md`.

A sampler: every half millisecond of processor time (of the process and of the kernel on its behalf, not waiting) notes which
function of Perdure is at work; what it calls in C or in the standard library counts as its own time. Unlike a tracing
profiler it does not make calls look dearer than they are. Python takes note of a sample at the next call or turn of a loop,
so some time of a function is booked on the one that runs after it; the shares of the parts are surer than those of functions.
"""

from __future__ import annotations

import importlib
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from types import FrameType
from typing import Annotated, Any, TypedDict

from perdure.checkpoint.memory import InMemorySaver
from perdure.checkpoint.sqlite import SqliteSaver
from perdure.engine.headcache import HEADS
from perdure.graph import END, START, StateGraph
from perdure.store.base import BaseStore
from perdure.store.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "profile.md"
SOURCE = str(Path(importlib.import_module("perdure").__file__ or "").parent) + "/"
EVERY = 0.0005  # seconds of processor time
SECONDS = 3.0  # a case
STEPS = 100
TOP = 12
names = count()


class State(TypedDict, total=False):
    n: int


def add(state: State) -> State:
    """The node of the benchmark's loop."""
    return {"n": state.get("n", 0) + 1}


def remember(state: State, *, store: BaseStore) -> State:
    """The same with one memory write."""
    n = state.get("n", 0)
    store.put(
        ("notes", "ada"), f"note {n % 10}", {"n": n, "text": "prefers tea to coffee, and the window seat"}
    )
    return {"n": n + 1}


def again(state: State) -> str:
    """A hundred steps."""
    return END if state.get("n", 0) >= STEPS else "add"


def config() -> Any:
    """A new thread."""
    return {"configurable": {"thread_id": str(next(names))}, "recursion_limit": STEPS + 5}


def loop(node: Any, **places: Any) -> Any:
    """The benchmark's loop of a hundred steps."""
    graph = StateGraph(State).add_node("add", node).add_edge(START, "add")
    return graph.add_conditional_edges("add", again, ["add", END]).compile(**places)


# -- cases: (name, unit, units a call, what is called) ---------------------------------------------------------------


@contextmanager
def in_memory(*, saver: bool) -> Iterator[Callable[[], Any]]:
    graph = loop(add, checkpointer=InMemorySaver() if saver else None)
    yield lambda: graph.invoke({"n": 0}, config())


@contextmanager
def one_step() -> Iterator[Callable[[], Any]]:
    graph = (
        StateGraph(State).add_node("add", add).add_edge(START, "add").compile(checkpointer=InMemorySaver())
    )
    yield lambda: graph.invoke({"n": 0}, config())


@contextmanager
def durable(*, memory: bool) -> Iterator[Callable[[], Any]]:
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/profile.db"
        with SqliteSaver.from_conn_string(file) as saver, SqliteStore.from_conn_string(file) as store:
            store.setup()
            graph = loop(remember if memory else add, checkpointer=saver, store=store)
            yield lambda: graph.invoke({"n": 0}, config(), durability="sync")


class Long(TypedDict):
    """A thread that grows by a kilobyte a turn."""

    turns: Annotated[list[Any], list.__add__]


def text(turn: int) -> Any:
    """A kilobyte of text, different each time."""
    return (f"turn {turn}: " + " ".join(f"word{turn * i % 9973}" for i in range(120)))[:1024]


def message(turn: int) -> Any:
    """The same as a message of LangChain's."""
    human = importlib.import_module("langchain_core.messages").HumanMessage
    return human(text(turn), id=f"message-{turn}")


@contextmanager
def cold(kind: str) -> Iterator[Callable[[], Any]]:
    with tempfile.TemporaryDirectory() as place:
        file, thread = f"{place}/profile.db", {"configurable": {"thread_id": "long"}}
        make = message if kind == "messages" else text

        def graph(saver: SqliteSaver) -> Any:
            return StateGraph(Long).add_node("quiet", lambda _: None).add_edge(START, "quiet").compile(saver)

        with SqliteSaver.from_conn_string(file) as saver:
            long = graph(saver)
            for turn in range(2000):
                long.invoke({"turns": [make(turn)]}, thread)

        def fresh() -> None:
            HEADS.clear()  # as in a new process
            with SqliteSaver.from_conn_string(file) as saver:
                graph(saver).get_state(thread)

        yield fresh


CASES: list[tuple[str, str, int, Any]] = [
    ("A step of a loop in memory, no saver", "us a step", STEPS, lambda: in_memory(saver=False)),
    ("A step of a loop in memory, saver", "us a step", STEPS, lambda: in_memory(saver=True)),
    ("A whole invoke of a graph of one step in memory, saver", "us a call", 1, one_step),
    ("A durable step on SQLite", "us a step", STEPS, lambda: durable(memory=False)),
    ("A durable step with a memory write", "us a step", STEPS, lambda: durable(memory=True)),
    ("`get_state` of 2,000 turns of text, opened anew", "us a call", 1, lambda: cold("text")),
    ("`get_state` of 2,000 LangChain messages, opened anew", "us a call", 1, lambda: cold("messages")),
]


# -- sampling --------------------------------------------------------------------------------------------------------


class Sampler:
    """Counts which function of Perdure is at work."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        while frame is not None and not frame.f_code.co_filename.startswith(SOURCE):
            frame = frame.f_back
        if frame is None:
            self.seen["(the program)", ""] += 1
        else:
            self.seen[frame.f_code.co_filename[len(SOURCE) :], frame.f_code.co_qualname] += 1


def sampled(act: Callable[[], Any], each: int) -> tuple[float, float, Counter[tuple[str, str]]]:
    """(processor microseconds a unit, clock microseconds a unit, samples by function)."""
    act()
    sampler, calls = Sampler(), 0
    signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    began, worked = perf_counter(), process_time()
    while perf_counter() - began < SECONDS:
        act()
        calls += 1
    took, worked = perf_counter() - began, process_time() - worked
    signal.setitimer(signal.ITIMER_PROF, 0)
    return worked / calls / each * 1e6, took / calls / each * 1e6, sampler.seen


def room(file: str) -> str:
    """The part of the house that a file is in."""
    head, slash, rest = file.partition("/")
    if not slash:
        return file
    deeper = rest.partition("/")
    return f"{head}/{deeper[0]}" if deeper[1] else head


def table(title: str, unit: str, result: tuple[float, float, Counter[tuple[str, str]]]) -> list[str]:
    """One case as Markdown."""
    worked, took, seen = result
    total = seen.total() or 1
    rooms: Counter[str] = Counter()
    for (file, _), times in seen.items():
        rooms[room(file)] += times
    lines = [f"## {title}", "", f"{worked:,.1f} {unit} of processor time, {took:,.1f} by the clock.", ""]
    lines += ["| part | share | time |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {n / total:.0%} | {worked * n / total:,.1f} |" for name, n in rooms.most_common(8)]
    lines += ["", "| function | share | time |", "| --- | ---: | ---: |"]
    lines += [
        f"| `{file}` `{name}` | {n / total:.1%} | {worked * n / total:,.1f} |"
        for (file, name), n in seen.most_common(TOP)
    ]
    return [*lines, ""]


def cold_processor() -> str:
    """What a raw commit costs in a tight loop, and between two calls of a graph; on a RAM disk where there is one."""
    ram = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the RAM disk of Linux, asked for by name
    with tempfile.TemporaryDirectory(dir=ram) as place, in_memory(saver=True) as other:
        database = sqlite3.connect(f"{place}/raw.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL").close()
        database.execute("PRAGMA synchronous = FULL").close()
        database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB)")

        def commit() -> float:
            began = perf_counter()
            database.execute("INSERT INTO rows (value) VALUES (?)", (bytes(300),))
            return (perf_counter() - began) * 1e6

        def between() -> float:
            other()
            return commit()

        tight = median([commit() for _ in range(1000)])
        apart = median([between() for _ in range(300)])
        database.close()
    return (
        f"One raw insert-and-commit of 300 bytes{' on a RAM disk' if ram else ''} takes {tight:.0f} us in a tight loop, and {apart:.0f} us when a graph of"
        " a hundred steps runs in memory before each: the processor's caches are cold then. The floors of the benchmarks"
        " are tight loops, so a part of what is above the floor is this."
    )


def main() -> int:
    """Prints every case, and writes the page."""
    lines = [
        "# Where the time goes", "",
        "Generated by `python dev.py bench --profile`. " + " ".join((__doc__ or "").split("\n\n", 1)[1].split()), "",
        f"Python {sys.version.split()[0]}. For targets and what of them is met see [benchmarks](benchmarks.md).", "",
        cold_processor(), "",
    ]  # fmt: skip
    for title, unit, each, place in CASES:
        with place() as act:
            found = table(title, unit, sampled(act, each))
        print("\n".join(found), flush=True)
        lines += found
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
