"""What Postgres holds for very many threads and items: `python dev.py bench --scale`.

Some threads and items are made by programs, then multiplied by the server under new numbers and names, in random order, so that
indexes are as full as after writes all over them. Of three sizes it prints bytes and depths, what was foretold of the largest from the
other two, and what a step and a search cost there; then what follows for 10^8 threads and 10^9 items
(docs/explanation/scale.md). Prints only. `--quick`: a tenth of each size.
"""

from __future__ import annotations

import math
import operator
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, NamedTuple, TypedDict

import psycopg

import perdure
from perdure.graph import START, StateGraph
from perdure.store.base import PutOp
from perdure.testing.postgres import PostgresServer

PAGE = 8192
LEAVES_ARE_FULL = 0.7  # of an index, after writes all over it
TURNS = 3
BASE_THREADS, BASE_SPACES, ITEMS_A_SPACE = 1000, 1000, 10
TIMES = (1, 10, 100)
PAPER_THREADS, PAPER_ITEMS = 10**8, 10**9
WORDS = [
    "tea",
    "coffee",
    "window",
    "seat",
    "north",
    "harbour",
    "letter",
    "garden",
    "winter",
    "violin",
    "station",
    "lamp",
    "river",
    "orange",
    "stone",
    "paper",
]
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "synchronous_commit": "off",
}


class State(TypedDict, total=False):
    """A conversation."""

    messages: Annotated[list[str], operator.add]


class Relation(NamedTuple):
    """A table or an index of one size."""

    table: str
    rows: int
    size: int
    long: int  # of it in long values
    level: int | None  # of an index: of its root


# What is multiplied: table -> its columns for the copy k. T, C, L, N, S: strides of threads, chains, logs, namespaces, seqs.
COPIES = {
    "commits": "seq + k * S, substring(sha256(id || k::text::bytea) FOR length(id)), at",
    "threads": "no + k * T, name || convert_to('-' || k, 'UTF8')",
    "chains": "no + k * C, thread + k * T, ns",
    "runs": "thread + k * T, id, at, metadata",
    "checkpoints": "chain + k * C, seq + k * S, at, step, whole, id, parent, parent_ns, source, run, metadata, state",
    "logs": "thread + k * T, log, no + k * L",
    "segments": "place + ((k * L) << 32), count, kind, payload",
    "namespaces": "no + k * N, convert_to('copy ' || k, 'UTF8') || '\\x0001'::bytea || name",
    "items": "id + ((k * N) << 32), version + ((k * S) << 20), idx, length, model, expires, alive, key, paths",
    "versions": "version + ((k * S) << 20), item + ((k * N) << 32), before, created, updated, ended, expires, ttl, thread,"
    " checkpoint, node, actor, value",
    "postings": "item + ((k * N) << 32), times, length, term",
    "texts": "item + ((k * N) << 32), terms",
    "totals": "space + k * N, idx, items, length, empty",
}
THREADS = ("threads", "chains", "runs", "checkpoints", "logs", "segments")


def main(*, quick: bool) -> int:
    """0: a figure is no test."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder) / "server", settings=SETTINGS)
        try:
            return _measured(server, quick=quick)
        finally:
            server.remove()


def _measured(server: PostgresServer, *, quick: bool) -> int:
    fewer = 10 if quick else 1
    threads, spaces = BASE_THREADS // fewer, BASE_SPACES // fewer
    with perdure.connect(server.url) as db, psycopg.connect(server.url, autocommit=True) as sql:
        graph = _graph(db)
        for number in range(threads):
            for turn in range(TURNS):
                graph.invoke({"messages": [_text(number + turn)]}, _config(f"thread {number}"))
        for number in range(spaces):
            db.store.batch(
                [
                    PutOp(_space(number), f"note {n}", {"text": _text(number * 7 + n), "n": n})
                    for n in range(ITEMS_A_SPACE)
                ]
            )
        strides = _strides(sql)
        _go_on_behind(sql, strides)
        found: list[dict[str, Relation]] = []
        done = 1
        for times in TIMES:
            _multiply(sql, strides, done, times)
            done = times
            found.append(_relations(sql))
            _tell(threads * times, spaces * times * ITEMS_A_SPACE, found[-1])
            _costs(db, graph, sql, spaces, times)
        _judge(found)
        _paper(found[-1], threads * TIMES[-1], spaces * TIMES[-1] * ITEMS_A_SPACE)
    return 0


def _graph(db: perdure.Database) -> Any:
    def reply(state: State) -> State:
        return {"messages": [f"answer to {state['messages'][-1]}"]}

    return StateGraph(State).add_node("reply", reply).add_edge(START, "reply").compile(db)


def _config(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def _space(number: int) -> tuple[str, ...]:
    return ("users", f"u{number}", "notes")


def _text(number: int) -> str:
    return " ".join(WORDS[(number * 13 + n * 3) % len(WORDS)] for n in range(8))


# -- making ------------------------------------------------------------------------------------------------------------


def _strides(sql: psycopg.Connection[Any]) -> dict[str, int]:
    """Behind the greatest number of each kind."""
    asked = {
        "T": ("no", "threads"),
        "C": ("no", "chains"),
        "L": ("no", "logs"),
        "N": ("no", "namespaces"),
        "S": ("seq", "commits"),
    }
    found: dict[str, int] = {}
    for name, (column, table) in asked.items():
        row = sql.execute(f"SELECT max({column}) FROM perdure_{table}").fetchone()  # noqa: S608 - names of ours
        assert row is not None
        found[name] = row[0] + 1
    return found


def _go_on_behind(sql: psycopg.Connection[Any], strides: dict[str, int]) -> None:
    """What is written from now on is behind all copies."""
    for sequence, stride in (
        ("seq", "S"),
        ("thread_no", "T"),
        ("chain_no", "C"),
        ("log_no", "L"),
        ("namespace_no", "N"),
    ):
        sql.execute("SELECT setval(%s, %s)", (f"perdure_{sequence}", strides[stride] * (TIMES[-1] + 1)))


def _multiply(sql: psycopg.Connection[Any], strides: dict[str, int], done: int, times: int) -> None:
    """There are so many copies of all rows of the beginning; `done` of them are there."""
    of_base = {"commits": ("seq", "S"), "threads": ("no", "T"), "chains": ("no", "C"), "runs": ("thread", "T"), "logs": ("no", "L"),
               "checkpoints": ("chain", "C"), "segments": ("place >> 32", "L"), "namespaces": ("no", "N"), "items": ("id >> 32", "N"),
               "versions": ("item >> 32", "N"), "postings": ("item >> 32", "N"), "texts": ("item >> 32", "N"), "totals": ("space", "N")}  # fmt: skip
    for table, columns in COPIES.items() if times > done else ():
        column, stride = of_base[table]
        for name, value in strides.items():
            columns = columns.replace(f"k * {name}", f"k::bigint * {value}")
        sql.execute(
            f"INSERT INTO perdure_{table} SELECT {columns} FROM perdure_{table}, generate_series({done}, {times - 1}) AS copies (k)"  # noqa: S608 - names of ours
            f" WHERE {column} < {strides[stride]} ORDER BY random()"
        )
    sql.execute("VACUUM (ANALYZE)")
    sql.execute("CHECKPOINT")


# -- looking -----------------------------------------------------------------------------------------------------------


def _relations(sql: psycopg.Connection[Any]) -> dict[str, Relation]:
    """Tables and indexes, with what they hold. The level of an index stands at byte 36 of its first page."""
    rows = sql.execute(
        "SELECT c.relname, coalesce(t.relname, c.relname), pg_relation_size(c.oid),"
        "       coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),"
        "       CASE WHEN c.relkind = 'i' THEN pg_read_binary_file(pg_relation_filepath(c.oid), 36, 4) END"
        "  FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid"
        " WHERE c.relkind IN ('r', 'i') AND coalesce(t.relname, c.relname) LIKE 'perdure\\_%' ORDER BY 2, 1"
    ).fetchall()
    counts: dict[str, int] = {}
    found: dict[str, Relation] = {}
    for name, table, size, long, level in rows:
        if table not in counts:
            row = sql.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of the server's own
            assert row is not None
            counts[table] = row[0]
        found[name] = Relation(
            table,
            counts[table],
            size + long,
            long,
            None if level is None else int.from_bytes(level, "little"),
        )
    return {name: one for name, one in found.items() if one.rows > 1}


def _tell(threads: int, items: int, found: dict[str, Relation]) -> None:
    print(f"\n## {threads:,} threads of {TURNS} turns, {items:,} items\n")
    print("| table or index | rows | bytes | bytes a row | pages from root to leaf |")
    print("|---|---:|---:|---:|---:|")
    for name, one in found.items():
        depth = "" if one.level is None else str(one.level + 1)
        print(
            f"| {name.removeprefix('perdure_')} | {one.rows:,} | {one.size:,} | {one.size / one.rows:.0f} | {depth} |"
        )
    for what, number, mine in (("a thread", threads, True), ("an item", items, False)):
        whole = sum(
            one.size for one in found.values() if (one.table.removeprefix("perdure_") in THREADS) is mine
        )
        print(f"\nBytes of {what}: {whole / number:,.0f}.", end="")
    print()


def _costs(db: perdure.Database, graph: Any, sql: psycopg.Connection[Any], spaces: int, times: int) -> None:
    """What a turn and a search take here; a turn's log, right behind a checkpoint and then."""

    def each(count: int, act: Callable[[int], object]) -> float:
        taken: list[float] = []
        for number in range(count):
            began = perf_counter()
            act(number)
            taken.append(perf_counter() - began)
        return median(taken) * 1e6

    def written() -> int:
        row = sql.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        assert row is not None
        return row[0]

    def turn(number: int) -> object:
        name = f"thread {number}" if times == 1 else f"thread {number}-{1 + number % (times - 1)}"
        return graph.invoke({"messages": ["tea"]}, _config(name))

    each(20, lambda number: turn(number + 80))
    sql.execute("CHECKPOINT")
    begun = written()
    took = each(50, turn)
    first = (written() - begun) / 50
    begun = written()
    each(50, turn)
    then = (written() - begun) / 50
    search = each(50, lambda number: db.store.search(_space(number % spaces), query="violin", limit=5))
    print(f"A turn: {took:,.0f} us without waiting for the disk (synchronous_commit=off); {first:,.0f} bytes of log"
          f" right after a checkpoint, {then:,.0f} on pages that were touched before. A search by words: {search:,.0f} us.")  # fmt: skip


# -- foretelling ---------------------------------------------------------------------------------------------------------


def depth_of(rows: float, one: Relation) -> int:
    """Pages from root to leaf of an index with so many rows: one, and the logarithm of its leaves to the base of entries a page.

    Leaves are as full as those of `one`; pages above them are taken to be as full as can be, for there are few.
    """
    a_leaf = max(2.0, one.rows / (one.size / PAGE))
    leaves = rows / a_leaf
    return 1 + (math.ceil(math.log(leaves, a_leaf / LEAVES_ARE_FULL)) if leaves > 1 else 0)


def _judge(found: list[dict[str, Relation]]) -> None:
    """What the two smaller sizes foretell of the largest."""
    small, middle, large = found
    whole = {"foretold": 0.0, "found": 0.0}
    wrong: list[str] = []
    worst = (0.0, "")
    for name, one in large.items():
        a, b = small[name], middle[name]
        if b.rows == a.rows:
            continue
        slope = (b.size - a.size) / (b.rows - a.rows)
        guess = b.size + slope * (one.rows - b.rows)
        whole["foretold"] += guess
        whole["found"] += one.size
        if one.size > 1 << 20:
            worst = max(worst, (abs(guess / one.size - 1), name))
        if one.level is not None and one.size > 1 << 20 and depth_of(one.rows, b) != one.level + 1:
            wrong.append(f"{name} ({depth_of(one.rows, b)}, found {one.level + 1})")
    print("\n## Foretold and found\n")
    print(f"Bytes of the largest size: foretold {whole['foretold']:,.0f}, found {whole['found']:,.0f}"
          f" ({whole['foretold'] / whole['found'] - 1:+.1%}); the worst relation above a megabyte: {worst[1]}, {worst[0]:.1%} off.")  # fmt: skip
    indexes = sum(one.level is not None and one.size > 1 << 20 for one in large.values())
    print(
        f"Depths: {indexes - len(wrong)} of {indexes} indexes above a megabyte as foretold. {'Others: ' + ', '.join(wrong) if wrong else ''}"
    )


def _paper(found: dict[str, Relation], threads: int, items: int) -> None:
    print(f"\n## {PAPER_THREADS:,} threads of {TURNS} turns, {PAPER_ITEMS:,} items\n")
    print("| table or index | rows | GB | pages from root to leaf |")
    print("|---|---:|---:|---:|")
    whole = 0.0
    for name, one in found.items():
        of_threads = one.table.removeprefix("perdure_") in THREADS
        grows = PAPER_THREADS / threads if of_threads else PAPER_ITEMS / items
        if one.table == "perdure_commits":
            grows = PAPER_THREADS / threads
        if one.size < 10 * PAGE:
            continue
        whole += one.size * grows
        depth = "" if one.level is None else str(depth_of(one.rows * grows, one))
        print(
            f"| {name.removeprefix('perdure_')} | {one.rows * grows:,.0f} | {one.size * grows / 1e9:,.0f} | {depth} |"
        )
    print(f"| all | | {whole / 1e9:,.0f} | |")
