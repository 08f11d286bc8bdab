"""A thread whose list of messages grows by 1 KB a turn, on SQLite, durability="sync".

`python turns.py ROOT KIND TURNS`, KIND one of `text` (words of Hamlet), `bytes` (that don't compress), `messages`
(LangChain's, words of Hamlet). The file calls itself with `read FILE` and `turn FILE` for what a new process finds.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import operator
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Annotated, TypedDict

from common import OURS, QUICK, REPOSITORY, answer, load, scratch, seconds, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(SqliteSaver,) = load("checkpoint.sqlite", "SqliteSaver")

KIND, TURNS = sys.argv[2], int(sys.argv[3])
PART = 512  # bytes of a message; a turn has two, the human's and the answer
PAIRS = 20  # the last turns are measured in turn with those around the 100th of a thread beside it: one disk, one noise
CONFIG = thread("long")
WORDS = (REPOSITORY / "src/perdure/demo/hamlet.txt").read_text(encoding="utf-8-sig").split()
chance = random.Random(1)


def content() -> object:
    if KIND == "bytes":
        return chance.randbytes(PART)
    words, length = [], 0
    while length < PART:
        words.append(chance.choice(WORDS))
        length += len(words[-1].encode()) + 1
    return " ".join(words).encode()[:PART].decode(errors="ignore")


if KIND == "messages":
    if importlib.util.find_spec("langchain_core") is None:
        answer()
        sys.exit()
    from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

    Message = AnyMessage  # named in the annotation, so that the codec may save it

    def human() -> object:
        return HumanMessage(content())

    def ai() -> object:
        return AIMessage(content())
else:
    Message = dict

    def human() -> object:
        return {"role": "human", "content": content()}

    def ai() -> object:
        return {"role": "ai", "content": content()}


class State(TypedDict, total=False):
    messages: Annotated[list[Message], operator.add]


def chat(_):
    return {"messages": [ai()]}


def compiled(saver):
    return StateGraph(State).add_node("chat", chat).add_edge(START, "chat").compile(checkpointer=saver)


def turn(graph, config=CONFIG) -> float:
    """Milliseconds."""
    question = {"messages": [human()]}
    return seconds(lambda: graph.invoke(question, config, durability="sync")) * 1e3


def size_bytes(file: Path) -> int:
    return sum(path.stat().st_size for path in file.parent.glob(file.name + "*"))


def bytes_per_table(file: Path) -> dict[str, int] | None:
    """None where this SQLite was built without the table of pages."""
    with closing(sqlite3.connect(file)) as db:
        try:
            rows = db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
        except sqlite3.OperationalError:
            return None
    return dict(rows)


def write(file: Path) -> dict[str, object]:
    log = Path(f"{file}-wal")
    sizes: list[int] = []
    with opened(file) as saver, opened(beside(file)) as other:
        graph, short_one = compiled(saver), compiled(other)
        for number in range(TURNS - PAIRS):
            turn(graph)
            if number % 50 == 49:
                sizes.append(log.stat().st_size if log.exists() else 0)
        for _ in range(100 - PAIRS // 2):
            turn(short_one)
        short, took = zip(*[(turn(short_one), turn(graph)) for _ in range(PAIRS)], strict=True)
        gc.collect()
        get_state = [seconds(lambda: graph.get_state(CONFIG)) * 1e3 for _ in range(5)]
        history = [seconds(lambda: list(graph.get_state_history(CONFIG, limit=10))) * 1e3 for _ in range(5)]
        assert len(graph.get_state(CONFIG).values["messages"]) == 2 * TURNS
    return {
        "turn_100": median(short),
        "turn_last": median(took),
        "get_state": get_state,
        "history": history,
        "log_bytes_most": max(sizes, default=0),
    }


def opened(file: Path):
    return SqliteSaver.from_conn_string(str(file))


def beside(file: Path) -> Path:
    """The file of the thread of a hundred turns; in one file its bytes would count."""
    return file.with_name(f"beside-{file.name}")


def bare_decode(saver) -> float:
    """Milliseconds for the long thread's bytes through zstd and ormsgpack alone: no objects, no rows, no channels."""
    import ormsgpack

    from perdure.codec.envelope import zstd

    with saver.__perdure_backend__.backend.read() as snapshot:
        name = CONFIG["configurable"]["thread_id"]
        logs = [snapshot.segments(name, log, end) for log, end in snapshot.logs(name)]
    payloads = [row.payload for row in max(logs, key=lambda rows: sum(row.count for row in rows))]

    def inner(tag: int, packed: bytes) -> object:
        return ormsgpack.unpackb(packed, ext_hook=inner)

    def decode() -> None:
        for payload in payloads:  # the first byte says whether it is compressed
            packed = zstd.decompress(payload[1:]) if payload[0] == 0x11 else payload[1:]
            ormsgpack.unpackb(packed, ext_hook=inner)

    return min(seconds(decode) for _ in range(3)) * 1e3


def visit(file: Path) -> dict[str, float]:
    """In a new process, after a third thread has warmed the graph: the state of the long one, or one more turn of it.

    Before the turn, a turn of the thread of some 100.
    """
    with opened(file) as saver, opened(beside(file)) as other:
        graph = compiled(saver)
        turn(graph, thread("short"))
        graph.get_state(thread("short"))
        gc.collect()
        if sys.argv[4] == "turn":
            return {"short_ms": turn(compiled(other)), "ms": turn(graph)}
        ms = seconds(lambda: graph.get_state(CONFIG)) * 1e3
        return {"ms": ms, "bare_ms": bare_decode(saver)} if OURS else {"ms": ms}


def in_new_process(what: str, file: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for number in range(3 if OURS and not QUICK else 1):  # theirs has no target here
        copy = file.with_name(f"copy-{what}-{number}.db")
        for source, target in ((file, copy), (beside(file), beside(copy))):
            shutil.copyfile(source, target)  # it was closed, so there is no log beside it
        command = [sys.executable, __file__, *sys.argv[1:4], what, str(copy)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def main() -> dict[str, object]:
    with scratch() as place:
        file = place / "long.db"
        found = write(file)
        size = size_bytes(file)
        reads, turns = in_new_process("read", file), in_new_process("turn", file)
        cold = {
            "cold_get_state": [each["ms"] for each in reads],
            "bare_decode": [each["bare_ms"] for each in reads if "bare_ms" in each],
            "cold_turn": [each["ms"] for each in turns],
            "cold_turn_100": [each["short_ms"] for each in turns],
        }
        tables = bytes_per_table(file)
        return {
            "turns": TURNS,
            "bytes": size,
            "raw_bytes": TURNS * 2 * PART,
            "bytes_per_table": tables,
            **found,
            **cold,
        }


if len(sys.argv) > 4:
    answer(**visit(Path(sys.argv[5])))
else:
    answer(**main())
