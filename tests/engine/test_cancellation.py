"""Cancellation and Ctrl-C: the run stops, the thread can be continued, nothing is half done."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.kit import Log, chain, fan, thread
from perdure import connect
from perdure.errors import PerdureError
from perdure.pregel import launch
from perdure.types import Command, RetryPolicy, interrupt


async def cancelled_when(graph: Any, config: Any, ready: asyncio.Event, **options: Any) -> None:
    running = asyncio.ensure_future(graph.ainvoke({}, config, **options))
    await ready.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.fact(38)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("draw", [chain, fan])
async def test_a_cancelled_run_leaves_its_finished_steps(db: Any, draw: Any, durability: str) -> None:
    inside = asyncio.Event()
    heard: list[str] = []

    async def waits(state: Log) -> Log:
        if not heard:
            inside.set()
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                heard.append("cancelled")
                raise
        return {"log": ["waits"]}

    drawing: Any = chain("a")
    drawing.add_node("w", waits).add_edge("a", "w")
    if draw is fan:
        drawing.add_node("s", lambda _: {"log": ["s"]}).add_edge("a", "s")
    graph = drawing.compile(db)
    await cancelled_when(graph, thread("t"), inside, durability=durability)

    assert heard == ["cancelled"]
    state = await graph.aget_state(thread("t"))
    assert state.values["log"][0] == "a"
    assert "w" in state.next
    result = await graph.ainvoke(None, thread("t"))
    assert result["log"] == (["a", "waits"] if draw is chain else ["a", "s", "waits"])


@pytest.mark.fact(38)
async def test_a_sync_node_in_a_worker_thread_finishes_unheard_after_a_cancellation(db: Any) -> None:
    loop = asyncio.get_running_loop()
    inside, go_on, over = asyncio.Event(), threading.Event(), threading.Event()
    first = [True]

    def slow(state: Log, *, store: Any) -> Log:
        if first.pop() if first else False:
            loop.call_soon_threadsafe(inside.set)
            go_on.wait(5)
            with suppress(Exception):  # a task that is over may refuse
                store.put(("late",), "k", {"n": 1})
            over.set()
        return {"log": ["slow"]}

    graph = chain(("s", slow)).compile(checkpointer=db.checkpointer, store=db.store)
    await cancelled_when(graph, thread("t"), inside)
    go_on.set()
    assert await asyncio.to_thread(over.wait, 5)

    assert db.store.get(("late",), "k") is None
    assert await graph.ainvoke(None, thread("t")) == {"log": ["slow"]}


async def test_a_cancellation_during_a_retrys_pause_ends_the_run_at_once(db: Any) -> None:
    inside = asyncio.Event()

    async def fails(state: Log) -> Log:
        inside.set()
        raise ConnectionError

    drawing: Any = chain("a")
    drawing.add_node("f", fails, retry_policy=RetryPolicy(initial_interval=30, jitter=False)).add_edge(
        "a", "f"
    )
    begun = time.monotonic()
    await cancelled_when(drawing.compile(db), thread("t"), inside)

    assert time.monotonic() - begun < 5


async def test_a_timeout_around_a_run_is_a_timeout(db: Any) -> None:
    async def waits(state: Log) -> None:
        await asyncio.sleep(10)

    graph = chain("a", ("w", waits)).compile(db)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await graph.ainvoke({}, thread("t"))

    assert (await graph.aget_state(thread("t"))).next == ("w",)


async def test_cancelling_at_any_moment_leaves_a_valid_prefix(db: Any) -> None:
    async def steps(state: Log) -> Log:
        await asyncio.sleep(0)
        return {"log": [len(state["log"])]}

    graph = chain(*((f"n{i}", steps) for i in range(6))).compile(db)
    for turns in range(0, 60, 3):
        config = thread(f"t{turns}")
        running = asyncio.ensure_future(graph.ainvoke({}, config))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        state = await graph.aget_state(config)
        log = state.values.get("log", [])
        assert log == list(range(len(log)))
        if state.metadata is None:
            assert await graph.ainvoke({}, config) == {"log": list(range(6))}
        else:
            assert await graph.ainvoke(None, config) == {"log": list(range(6))}


async def test_a_cancelled_stream_ends_its_run(db: Any) -> None:
    inside = asyncio.Event()
    heard: list[str] = []

    async def waits(state: Log) -> None:
        inside.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    graph = chain("a", ("w", waits)).compile(db)

    async def reads() -> None:
        async for _ in graph.astream({}, thread("t")):
            pass

    running = asyncio.ensure_future(reads())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert heard == ["cancelled"]
    assert (await graph.aget_state(thread("t"))).values == {"log": ["a"]}


async def test_a_cancellation_reaches_nested_graphs(db: Any) -> None:
    inside = asyncio.Event()
    heard: list[str] = []

    async def waits(state: Log) -> None:
        inside.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            heard.append("child")
            raise

    child = chain(("w", waits)).compile()

    async def calls(state: Log) -> Log:
        return await child.ainvoke({})

    await cancelled_when(chain(("c", calls)).compile(db), thread("t"), inside)

    assert heard == ["child"]


PROGRAM = """
import sys, time
from engine.kit import Log, chain, fan, thread
from perdure import connect

def slow(state):
    print("inside", flush=True)
    time.sleep({seconds})
    return {{"log": ["slow"]}}

with connect("sqlite:///{path}") as db:
    graph = {graph}.compile(db)
    try:
        graph.invoke(None if "again" in sys.argv else {{}}, thread("t"))
    except KeyboardInterrupt:
        print("interrupted", graph.get_state(thread("t")).values, flush=True)
    else:
        print(graph.get_state(thread("t")).values, flush=True)
"""


@pytest.mark.parametrize("graph", ['chain("a", ("s", slow))', 'chain("a", ("s", slow), "b")'])
def test_ctrl_c_lands_in_the_node_and_the_thread_goes_on(tmp_path: Path, graph: str) -> None:
    def program(seconds: float) -> str:
        path = (tmp_path / "t.db").as_posix().lstrip("/")
        return textwrap.dedent(PROGRAM).format(seconds=seconds, path="/" + path, graph=graph)

    paths = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    child = subprocess.Popen([sys.executable, "-c", paths + program(30)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "inside\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=10)
    assert out == "interrupted {'log': ['a']}\n"

    again = subprocess.run(
        [sys.executable, "-c", paths + program(0), "again"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert again.stdout.splitlines()[-1].startswith("{'log': ['a', 'slow'")


def test_ctrl_c_while_several_nodes_run_ends_the_wait_at_once(tmp_path: Path) -> None:
    path = "/" + (tmp_path / "t.db").as_posix().lstrip("/")
    program = textwrap.dedent(PROGRAM).format(seconds=30, path=path, graph='fan("a", ("s", slow))')
    paths = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    child = subprocess.Popen([sys.executable, "-c", paths + program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "inside\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=10)  # the hung thread does not hold the exit of the process

    assert out.startswith("interrupted {'log': [")
    assert child.returncode == 0


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_nested_run_that_outlives_its_node_does_not_disturb_the_nodes_next_attempt(
    db: Any, durability: Any
) -> None:
    entered: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]
    leave: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]
    attempts: list[asyncio.Task[Any]] = []

    async def slow(state: Log) -> Log:
        number = len(attempts) - 1
        entered[number].set()
        await leave[number].wait()
        return {"log": ["slow"]}

    async def asks(state: Log) -> Log:
        await entered[len(attempts) - 1].wait()
        return {"log": [interrupt("?")]}

    slowly, asking = chain(("slow", slow)).compile(), chain(("asks", asks)).compile()

    async def both(state: Log) -> Log:
        attempts.append(asyncio.create_task(slowly.ainvoke({"log": []})))
        first, second = await asyncio.gather(attempts[-1], asking.ainvoke({"log": []}))
        return {"log": [*first["log"], *second["log"]]}

    graph = chain(("both", both)).compile(db)
    asked = await graph.ainvoke({"log": []}, thread("t"), durability=durability)
    assert [question.value for question in asked["__interrupt__"]] == ["?"]

    resumed = asyncio.create_task(graph.ainvoke(Command(resume="!"), thread("t"), durability=durability))
    await entered[1].wait()
    leave[0].set()
    with pytest.raises(PerdureError, match="still at work in node 'both' after the node had ended"):
        await attempts[0]
    leave[1].set()

    assert (await resumed)["log"] == ["slow", "!"]


@pytest.mark.parametrize("moment", ["begins", "ends"])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_signal_as_a_call_begins_or_ends_leaves_the_thread_free(
    monkeypatch: pytest.MonkeyPatch, moment: str, way: str
) -> None:
    class Signalled:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise KeyboardInterrupt

    def signalled(*_: object) -> None:
        raise KeyboardInterrupt

    with connect("memory://") as db:
        graph = chain("a").compile(db)
        call = graph.invoke if way == "invoke" else lambda *given: list(graph.stream(*given))
        with monkeypatch.context() as patched:
            if moment == "begins":
                patched.setattr(launch, "_busy_lock", Signalled())
            else:
                patched.setattr(launch.occupied, "__exit__", signalled)
            with pytest.raises(KeyboardInterrupt):
                call({}, thread("t"))

        assert graph.invoke({}, thread("t"))["log"][-1] == "a"
