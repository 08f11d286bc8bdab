"""What the programs share: the library under measurement, stopwatches, a place for files, the answer.

Every program is run as `python PROGRAM.py perdure` or `python PROGRAM.py langgraph`, with the interpreter that has that
library, and prints one line of JSON in the end. Nothing here knows which of the two it is.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

ROOT = sys.argv[1]  # the import root
OURS = ROOT == "perdure"
QUICK = os.environ.get("BENCH_QUICK") == "1"
REPOSITORY = Path(__file__).resolve().parents[2]
ON_DISK = REPOSITORY / "bench" / "results"  # ignored by git, and on the disk that the developer works on
IN_RAM = Path("/dev/shm")  # noqa: S108 - the RAM disk of Linux, asked for by name


def load(module: str, *names: str) -> list:
    """Objects of the library: `load("graph", "START")` is `from perdure.graph import START`, or the other's."""
    found = importlib.import_module(f"{ROOT}.{module}")
    return [getattr(found, name) for name in names]


def thread(name: object) -> dict[str, dict[str, str]]:
    return {"configurable": {"thread_id": str(name)}}


def seconds(act: Callable[[], object]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


def microseconds(act: Callable[[], object], *, times: int, each: int) -> list[float]:
    """How long `act` took per unit, `each` units a call, after one call that isn't counted."""
    act()
    gc.collect()
    return [seconds(act) / each * 1e6 for _ in range(times)]


@contextmanager
def scratch(parent: Path = ON_DISK) -> Iterator[Path]:
    """A directory that is gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="perdure-bench-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database on the server that the benchmark runs; it is gone afterwards."""
    import psycopg

    server = os.environ["BENCH_POSTGRES"]
    name = f"bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class RawCommits:
    """The floor of a durable step: one row of 300 bytes, inserted and committed by `sqlite3`, synchronous=FULL."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL").close()
        self._db.execute("PRAGMA synchronous = FULL").close()
        self._db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB)")

    def run(self, number: int) -> None:
        row = (bytes(300),)
        for _ in range(number):
            self._db.execute("INSERT INTO rows (value) VALUES (?)", row)

    def close(self) -> None:
        self._db.close()


def answer(**figures: object) -> None:
    """The program's result. A list: samples; pairs in it: a sample and the floor measured right before it."""
    print(json.dumps(figures))
