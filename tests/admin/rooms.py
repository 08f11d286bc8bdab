"""Words of these tests: a graph whose threads and memory have something of everything, and what is kept of them."""

from __future__ import annotations

import base64
import operator
import re
import sqlite3
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

import perdure
from perdure import END, START, StateGraph, interrupt

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()

# Where clocks that a test moves begin: so long ago that no id of this process gets ahead of the true time.
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)

_BLOB = re.compile(r"x'([0-9a-f]*)'")


class Talk(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    facts: dict[str, Any]
    n: int
    answer: str


def _remember(state: Talk, *, store: Any) -> dict[str, Any]:
    n = state.get("n", 0)
    store.put(("users", f"u{n % 3}"), f"k{n % 5}", {"text": f"likes tea {n}", "n": n})
    facts = {**state.get("facts", {}), f"f{n}": "x" * 40}
    return {"log": [f"line {n} " + "y" * 50], "facts": facts, "n": n + 1}


def _ask(state: Talk) -> dict[str, Any]:
    return {"answer": interrupt("well?")} if state.get("n", 0) % 4 == 3 else {}


def _aside(state: Talk, *, store: Any) -> dict[str, Any]:
    store.put(("aside",), "k", {"n": state.get("n", 0)})
    return {}


def talker(db: perdure.Database) -> Any:
    """A graph that remembers, writes lists and dicts, and sometimes waits for an answer with memory staged."""
    building = StateGraph(Talk)
    building.add_node("remember", _remember)
    building.add_node("ask", _ask)
    building.add_node("aside", _aside)
    building.add_edge(START, "remember")
    building.add_edge("remember", "ask")
    building.add_edge("remember", "aside")
    building.add_edge("ask", END)
    return building.compile(db)


def talk(db: perdure.Database, threads: int = 3, turns: int = 4, begin: int = 0) -> None:
    """So many threads, each with so many turns; every fourth ends with a question, its sibling's memory staged."""
    graph = talker(db)
    for thread in range(begin, begin + threads):
        config: Any = {"configurable": {"thread_id": f"t{thread}"}}
        for turn in range(turns):
            graph.invoke({"log": [], "n": turn + thread} if turn == 0 else {"log": []}, config)


def by_sql(url: str, *statements: str) -> None:
    """Damage: statements that another connection commits, in a database that nobody has open.

    They are SQLite's; a blob (`x'10c1'`) is written as Postgres wants it there.
    """
    made: Any
    if url.startswith("sqlite"):
        made = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        made = _psycopg(url)
        statements = tuple(_BLOB.sub(r"'\\x\1'::bytea", statement) for statement in statements)
    for statement in statements:
        assert made.execute(statement).rowcount, f"changed nothing: {statement}"
    made.close()


def _psycopg(url: str) -> Any:
    import psycopg

    from perdure.storage.postgres.place import place_of

    place = place_of(url)
    return psycopg.connect(place.conninfo, autocommit=True, options=f"-c search_path={place.schema}")
