"""How many round trips each public operation takes: as the page says, and no more.

A trip more is a millisecond more on a usual network, so the numbers stand in `docs/how-to/run-on-postgres.md`, and are compared here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict

import pytest

pytest.importorskip("psycopg")

from perdure import clock
from perdure.database import Database
from perdure.engine.headcache import HEADS
from perdure.graph import END, START, StateGraph
from perdure.storage.postgres.backend import PostgresBackend
from perdure.store.base import PutOp

PAGE: Final = Path(__file__).parents[3] / "docs/how-to/run-on-postgres.md"
ME, MANY = ("users", "ada"), ("many",)
THREAD: Any = {"configurable": {"thread_id": "t"}}


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text.count(letter)) + 0.1 for letter in "abcd"] for text in texts]


INDEX: Any = {"embed": embed, "dims": 4}


class Room:
    """A process, and what it can be asked."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.store = db.store
        graph: Any = StateGraph(State)
        for name in ("a", "b"):
            graph.add_node(name, lambda state: {"log": ["x"]})
        self.graph: Any = (
            graph.add_edge(START, "a")
            .add_edge("a", "b")
            .add_edge("b", END)
            .compile(db.checkpointer, store=db.store)
        )
        self.revision = ""  # of some time ago
        self.past: Any = None
        self.checkpoint: Any = None


OPERATIONS: Final[dict[str, Callable[[Room], Any]]] = {
    "`get`": lambda room: room.store.get(ME, "k3"),
    "`get_many`": lambda room: room.store.get_many([(ME, f"k{n}") for n in range(30)]),
    "`search`, newest first": lambda room: room.store.search(ME),
    "`search` with `filter=`": lambda room: room.store.search(ME, filter={"n": 3}),
    "`search` with `order_by=`": lambda room: room.store.search(ME, order_by="key"),
    "`search` by words": lambda room: room.store.search(ME, query="tea w3", mode="text"),
    "`search` by words, in a subtree of many namespaces": lambda room: room.store.search(
        MANY, query="tea w3", mode="text"
    ),
    "`search` by words, in everything": lambda room: room.store.search((), query="tea w3", mode="text"),
    "`search` by words of which all that is found has equally many": lambda room: room.store.search(
        ME, query="same", mode="text"
    ),
    "`search` by words that nothing has": lambda room: room.store.search(ME, query="zebra", mode="text"),
    "`search` by words, with `filter=`": lambda room: room.store.search(
        ME, query="tea", mode="text", filter={"n": {"$lt": 8}}
    ),
    "`search` by a phrase": lambda room: room.store.search(ME, query='"tea likes"', mode="text"),
    "`search` by `begin*`": lambda room: room.store.search(ME, query="te* w3", mode="text"),
    "`search` by meaning": lambda room: room.store.search(ME, query="tea w3", mode="vector"),
    "`search` by both": lambda room: room.store.search(ME, query="tea w3", mode="hybrid"),
    "`search` with `neighbours=`": lambda room: room.store.search(
        ME, query="tea w3", mode="text", neighbours=1
    ),
    "`count`": lambda room: room.store.count(ME),
    "`count` with `filter=`": lambda room: room.store.count(ME, filter={"n": 3}),
    "`list_namespaces`": lambda room: room.store.list_namespaces(),
    "`history`": lambda room: room.store.history(ME, "k3"),
    "`blame`": lambda room: room.store.blame(ME, "k3"),
    "`at`": lambda room: room.store.at(room.revision),
    "`at(...).get`": lambda room: room.past.get(ME, "k3"),
    "`at(...).search`": lambda room: room.past.search(ME),
    "`at(...).list_namespaces`": lambda room: room.past.list_namespaces(),
    "`diff`": lambda room: room.store.diff(room.revision, prefix=ME),
    "`put`, `put_many`, `delete`": lambda room: room.store.put(ME, "k3", {"text": "tea", "n": 3}),
    "`update`": lambda room: room.store.update(ME, "k3", lambda value: {**(value or {}), "n": 3}),
    "`get_state`": lambda room: room.graph.get_state(THREAD),
    "`get_state` of an older checkpoint": lambda room: room.graph.get_state(room.checkpoint),
    "`get_state_history`": lambda room: list(room.graph.get_state_history(THREAD, limit=10)),
    "`update_state`": lambda room: room.graph.update_state(THREAD, {"log": ["said"]}, as_node="b"),
    "`checkpointer.get_tuple`": lambda room: room.db.checkpointer.get_tuple(THREAD),
    "`checkpointer.list`": lambda room: list(room.db.checkpointer.list(THREAD, limit=10)),
}


@pytest.fixture(scope="module")
def url(postgres_server: str, postgres_admin: Any) -> Iterator[str]:
    name = f"round_trips_{clock.uuid6().hex}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={name}"
    postgres_admin.execute(f"DROP SCHEMA {name} CASCADE")


def opened(url: str) -> Room:
    """As another process has it: it knows nothing yet, but has a connection."""
    from perdure.store.encoding import codec_of
    from perdure.store.face import BackendStore

    backend: Any = PostgresBackend(url)
    db = Database(url, backend, cipher=None, keep_history="all")
    room = Room(db)
    room.store = BackendStore(backend, codec_of(INDEX))
    backend._line.give(backend._line.take())
    HEADS.clear()
    return room


@pytest.fixture(scope="module")
def filled(url: str) -> tuple[str, Any]:
    """A revision in the middle, and a checkpoint that is not the newest."""
    room = opened(url)
    room.store.put_many(
        [
            PutOp(
                ME, f"k{n}", {"text": f"{'tea' if n % 2 else 'cup'} likes w{n} {'x ' * (n % 7)}", "n": n % 9}
            )
            for n in range(90)
        ]
    )
    room.store.put_many([PutOp(ME, f"same{n}", {"text": "same"}) for n in range(8)])
    for user in range(40):
        room.store.put_many(
            [PutOp((*MANY, f"u{user}"), f"k{n}", {"text": f"tea w{n} {user}"}) for n in range(5)]
        )
    found = room.store.get((*MANY, "u39"), "k0")
    assert found is not None
    assert found.revision is not None
    for n in range(20):
        room.store.put(ME, f"k{n}", {"text": f"tea w{n}", "n": n % 9})
    for _ in range(4):
        room.graph.invoke({"log": ["in"]}, THREAD)
    history = list(room.graph.get_state_history(THREAD))
    room.db.close()
    return found.revision, history[5].config


def told() -> dict[str, tuple[int, int]]:
    """The table of the page."""
    rows = re.findall(r"^\| (`.+) \| (\d+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (int(first), int(again)) for name, first, again in rows}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_the_round_trips_that_the_page_says(
    url: str, filled: tuple[str, Any], trips: Callable[..., int], name: str
) -> None:
    room = opened(url)
    ask = OPERATIONS[name]
    try:
        room.revision, room.checkpoint = filled
        if "at(...)" in name:
            room.past = room.store.at(room.revision)
        if "state" in name:
            room.graph.invoke({"log": ["in"]}, THREAD)
            HEADS.clear()
        first = trips(lambda: ask(room))
        if name == "`get_state`":  # of a thread that this process has had at work
            room.graph.invoke({"log": ["in"]}, THREAD)
        again = {trips(lambda: ask(room)) for _ in range(3)}

        assert (first, *again) == told()[name]
    finally:
        room.db.close()


def test_the_page_has_no_other_operations() -> None:
    assert list(told()) == list(OPERATIONS)


def test_in_a_task_as_outside(url: str, filled: tuple[str, Any], trips: Callable[..., int]) -> None:
    room, counts = opened(url), dict[str, int]()
    names = [
        "`get`",
        "`get_many`",
        "`search`, newest first",
        "`search` by words",
        "`list_namespaces`",
        "`count`",
    ]
    room.store.search(ME)

    def node(state: State, store: Any) -> dict[str, Any]:
        inside = copy(room)
        inside.store = store
        counts.update((name, trips(lambda name=name: OPERATIONS[name](inside))) for name in names)
        return {"log": []}

    graph: Any = StateGraph(State).add_node("node", node).add_edge(START, "node").add_edge("node", END)
    try:
        graph.compile(room.db.checkpointer, store=room.store).invoke(
            {"log": []}, {"configurable": {"thread_id": "other"}}, durability="sync"
        )

        assert counts == {name: told()[name][1] for name in names}
    finally:
        room.db.close()


def test_frequent_words_of_a_large_subtree_cost_one_more_or_two(
    url: str, filled: tuple[str, Any], trips: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perdure.storage.postgres import words
    from perdure.storage.text import ranking

    monkeypatch.setattr(ranking, "EXACT", 20)
    monkeypatch.setattr(words, "_SOME", 10)
    room = opened(url)
    try:
        ask = room.store.search
        assert trips(lambda: ask(ME, query="w31", mode="text")) == 2
        assert trips(lambda: ask(ME, query="tea w31 likes", mode="text", limit=1)) == 3
        assert trips(lambda: ask(MANY, query="tea w3", mode="text")) <= 4
    finally:
        room.db.close()
