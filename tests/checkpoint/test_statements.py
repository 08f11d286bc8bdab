"""A page of checkpoints is read by a number of statements that does not grow with its rows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest

from perdure.checkpoint.sqlite import SqliteSaver
from perdure.graph import END, START, StateGraph
from perdure.testing.savers import chain, config_of
from perdure.types import Command, interrupt


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    yield made
    made.close()


def said(connection: sqlite3.Connection, act: Callable[[], object]) -> Counter[str]:
    """How often each statement was executed, without the values bound to it."""
    texts: list[str] = []
    connection.set_trace_callback(texts.append)
    act()
    connection.set_trace_callback(None)
    return Counter(text.split("WHERE")[0].split("VALUES")[0].strip() for text in texts)


def listed(saver: SqliteSaver, limit: int) -> Callable[[], object]:
    return lambda: [*saver.list(config_of(), limit=limit)]


def asking(connection: sqlite3.Connection, turns: int) -> Any:
    """A graph whose every turn asked a question and was answered."""

    class State(TypedDict):
        log: Annotated[list[str], lambda old, new: old + new]

    def ask(state: State) -> dict[str, Any]:
        return {"log": [str(interrupt("?"))]}

    drawn = StateGraph(State)
    drawn.add_node("ask", ask)
    drawn.add_edge(START, "ask")
    drawn.add_edge("ask", END)
    app = drawn.compile(SqliteSaver(connection))
    for turn in range(turns):
        app.invoke({"log": [f"turn {turn}"]}, config_of())
        app.invoke(Command(resume=f"answer {turn}"), config_of())
    return app


def test_a_list_does_not_ask_for_the_writes_of_each_checkpoint(connection: sqlite3.Connection) -> None:
    saver = SqliteSaver(connection)
    for at in chain(saver, 120):
        saver.put_writes(at, [("a", 1), ("b", [2])], "task")

    few, many = (said(connection, listed(saver, limit)) for limit in (8, 120))

    assert few.total() <= 10
    assert many.total() <= 10 * 4, many.most_common(3)  # pages of 8, 16, 32 and 64


def test_a_list_over_namespaces_asks_once_a_page(connection: sqlite3.Connection) -> None:
    saver = SqliteSaver(connection)
    for ns in ("", "child"):
        for at in chain(saver, 60, ns=ns):
            saver.put_writes(at, [("a", 1)], "task")

    counts = said(connection, lambda: [*saver.list({"configurable": {"thread_id": "t"}})])

    assert sum(times for text, times in counts.items() if "perdure_writes" in text) <= 5, counts.most_common(
        3
    )


@pytest.mark.parametrize("turns", [20, 40])
def test_a_history_asks_once_a_page_for_writes(connection: sqlite3.Connection, turns: int) -> None:
    app = asking(connection, turns)

    counts = said(connection, lambda: [*app.get_state_history(config_of())])

    pages = turns * 3 // 64 + 1
    for table in ("perdure_writes", "perdure_staged"):
        asked = sum(times for text, times in counts.items() if table in text)
        assert asked <= pages, (table, counts.most_common(3))


def test_a_history_of_checkpoints_put_by_hand_asks_once_a_page_for_writes(
    connection: sqlite3.Connection,
) -> None:
    app = asking(connection, 1)
    for at in chain(app.checkpointer, 60, thread="by hand"):
        app.checkpointer.put_writes(at, [("log", ["x"])], "task")

    counts = said(connection, lambda: [*app.get_state_history(config_of("by hand"))])

    for table in ("perdure_writes", "perdure_staged"):
        asked = sum(times for text, times in counts.items() if table in text)
        assert asked <= 2, (table, counts.most_common(3))
