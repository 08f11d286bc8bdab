"""What an operator's choices cost on Postgres: `python dev.py bench --settings`, `--partitions`.

Each choice is a schema of its own on one server that waits for its disk, and all take turns in short rounds. Of each the best round is
told: milliseconds of the caller's clock, the median of a round; microseconds of processor of the server's sessions
(/proc/PID/schedstat, so Linux only, and as the server's user or root), and bytes of its log, on average. Each round begins behind a
checkpoint. Prints only (docs/how-to/run-on-postgres.md, docs/explanation/scale.md). `--quick`: fewer rounds.
"""

from __future__ import annotations

import operator
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, NamedTuple, TypedDict

import psycopg

import perdure
from perdure.graph import START, StateGraph
from perdure.testing.partitioned import KEYS, partition
from perdure.testing.postgres import PostgresServer

ROUNDS, TIMES = 6, 60
PARTS = 16
SPACES, ITEMS = 200, 20
SERVER = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
SHORT, LONG = 30, 6000
LONG_COLUMNS = (
    ("checkpoints", "state"),
    ("segments", "payload"),
    ("versions", "value"),
    ("writes", "payload"),
    ("staged", "payload"),
)
DICE = random.Random(7)


class State(TypedDict, total=False):
    """A conversation."""

    messages: Annotated[list[str], operator.add]


class Cost(NamedTuple):
    """Of one operation, in one round."""

    milliseconds: float
    processor: float  # microseconds
    log: float  # bytes


class Choice:
    """A schema, how it is opened and what was done to its tables while they were empty."""

    def __init__(self, server: PostgresServer, name: str, shown: str, options: str = "") -> None:
        self.shown = shown
        self.name = name
        self.url = f"{server.url}?schema={name}&application_name={name}&pool_min=2&pool_max=2{options}"
        perdure.connect(self.url).close()

    def open(self) -> None:
        """With some threads and items."""
        self.db = perdure.connect(self.url)
        self.graph = (
            StateGraph(State)
            .add_node("reply", lambda state: {"messages": [f"to {state['messages'][-1]}"]})
            .add_edge(START, "reply")
            .compile(self.db)
        )
        for number in range(TIMES):
            self.turn(number)
        for space in range(SPACES):
            self.db.store.put_many(
                [(_space(space), f"n{n}", {"text": _text(SHORT), "n": n}) for n in range(ITEMS)]
            )

    def turn(self, number: int, size: int = SHORT) -> object:
        """Two commits."""
        config: Any = {"configurable": {"thread_id": f"thread {number % TIMES}"}}
        return self.graph.invoke({"messages": [_text(size)]}, config, durability="sync")

    def long_turn(self, number: int) -> object:
        """One of six thousand letters."""
        return self.turn(number, LONG)

    def put(self, number: int) -> object:
        """A new version of an item."""
        return self.db.store.put(_space(number), f"n{number % ITEMS}", {"text": _text(SHORT), "n": number})

    def search(self, number: int) -> object:
        """By words, in one namespace."""
        return self.db.store.search(_space(number), query="violin harbour", limit=5)


def _space(number: int) -> tuple[str, ...]:
    return ("users", f"u{number % SPACES}", "notes")


def _text(size: int) -> str:
    words = ["violin", "harbour", "tea", "lamp", "river", "stone", *(f"{DICE.getrandbits(40):x}" for _ in range(size // 12))]  # fmt: skip
    return " ".join(DICE.sample(words, min(len(words), max(5, size // 10))))


def settings(*, quick: bool) -> int:
    """Settings of the server, of a role, and of tables."""
    with tempfile.TemporaryDirectory() as folder, _Server(Path(folder)) as server:
        compression = "lz4" if _has_lz4(server) else "pglz"
        choices = [
            Choice(server, "plain", "as it comes"),
            Choice(server, "sync_off", "`synchronous_commit=off`", "&options=-c%20synchronous_commit%3Doff"),
            Choice(server, "compressed", f"`wal_compression={compression}`", f"&options=-c%20wal_compression%3D{compression}"),
            Choice(server, "full", "`fillfactor=100` for items, totals and versions"),
            Choice(server, "extended", "long values `EXTENDED`: the server compresses them, too"),
        ]  # fmt: skip
        with psycopg.connect(server.url, autocommit=True) as sql:
            for table in ("items", "totals", "versions", "vector_spaces"):
                sql.execute(
                    f"ALTER TABLE full_.perdure_{table} SET (fillfactor = 100)".replace("full_", '"full"')
                )
            for table, column in LONG_COLUMNS:
                sql.execute(
                    f"ALTER TABLE extended.perdure_{table} ALTER COLUMN {column} SET STORAGE EXTENDED"
                )
            print("## Settings\n")
            _measured(sql, choices, ("turn", "long_turn", "put"), quick=quick)
            _told_hot(sql)
    return 0


def partitions(*, quick: bool) -> int:
    """Tables in partitions, and whole."""
    with tempfile.TemporaryDirectory() as folder, _Server(Path(folder)) as server:
        choices = [Choice(server, "whole", "whole"), Choice(server, "parted", f"{PARTS} partitions")]
        with psycopg.connect(server.url, autocommit=True) as sql:
            partition(sql, "parted", PARTS)
            print(f"## {len(KEYS)} tables in partitions: {', '.join(name.removeprefix('perdure_') for name in KEYS)}\n")  # fmt: skip
            _measured(sql, choices, ("turn", "put", "search"), quick=quick)
    return 0


class _Server:
    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._server = PostgresServer(folder / "server", settings=SERVER)

    def __enter__(self) -> PostgresServer:
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.remove()


def _has_lz4(server: PostgresServer) -> bool:
    with psycopg.connect(server.url) as sql:
        found = sql.execute(
            "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'"
        ).fetchone()
    return bool(found and found[0])


# -- measuring -----------------------------------------------------------------------------------------------------------


def _measured(
    sql: psycopg.Connection[Any], choices: list[Choice], acts: tuple[str, ...], *, quick: bool
) -> None:
    best: dict[tuple[str, str], Cost] = {}
    for choice in choices:
        choice.open()
        for act in acts:  # statements are prepared, caches are filled
            for number in range(8):
                getattr(choice, act)(number)
    for turn in range(2 if quick else ROUNDS):
        for choice in choices if turn % 2 else reversed(choices):
            for act in acts:
                cost = _round(sql, choice, getattr(choice, act))
                before = best.get((choice.name, act), cost)
                best[choice.name, act] = Cost(*map(min, before, cost))
    names = {
        "turn": "a turn",
        "long_turn": f"a turn of {LONG:,} letters",
        "put": "a put",
        "search": "a search",
    }
    print("| | " + " | ".join(f"{names[act]}: ms | server us | log bytes" for act in acts) + " |")
    print("|---|" + "---:|" * 3 * len(acts))
    for choice in choices:
        costs = [best[choice.name, act] for act in acts]
        shown = (f"{one.milliseconds:.1f} | {one.processor:,.0f} | {one.log:,.0f}" for one in costs)
        print(f"| {choice.shown} | " + " | ".join(shown) + " |")
    for choice in choices:
        choice.db.close()


def _round(sql: psycopg.Connection[Any], choice: Choice, act: Callable[[int], object]) -> Cost:
    sql.execute("CHECKPOINT")
    taken: list[float] = []
    log, processor = _log(sql), _processor(sql, choice.name)
    for number in range(TIMES):
        began = perf_counter()
        act(number)
        taken.append(perf_counter() - began)
    spent = _processor(sql, choice.name) - processor
    return Cost(median(taken) * 1e3, spent / TIMES / 1e3, (_log(sql) - log) / TIMES)


def _log(sql: psycopg.Connection[Any]) -> int:
    row = sql.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return row[0]


def _processor(sql: psycopg.Connection[Any], name: str) -> int:
    """Nanoseconds that the sessions of that name have had."""
    rows = sql.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (name,)).fetchall()
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in rows)


def _told_hot(sql: psycopg.Connection[Any]) -> None:
    print("\nRows that were changed within their page, so that no index has to know (HOT):\n")
    sql.execute("SELECT pg_stat_force_next_flush()")
    for schema in ("plain", "full"):
        rows = sql.execute(
            "SELECT relname, n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables"
            " WHERE schemaname = %s AND n_tup_upd > 100 ORDER BY n_tup_upd DESC",
            (schema,),
        ).fetchall()
        shown = ", ".join(f"{name.removeprefix('perdure_')} {hot / all_:.0%}" for name, hot, all_ in rows)
        print(f"- {'as it comes' if schema == 'plain' else 'fillfactor=100'}: {shown}")
