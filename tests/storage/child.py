"""Programs of other processes, and how a test starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"

PRELUDE = """
import os, signal, sys, threading, time
from perdure.errors import *
from perdure.storage.contract import *
from perdure.storage.sqlite import SqliteBackend, open_backend
from perdure.testing.backends import checkpoint_of, commit_of, put_of

def append(db, thread, n, text=b"s"):
    "One step of a chain whose ids are counted."
    head = f"{n - 1:06}" if n else None
    return db.commit(commit_of(heads=[HeadIs(thread, "", head)], checkpoints=[checkpoint_of(thread, f"{n:06}", head)],
                               segments=[SegmentRow(thread, 1, n, 1, 1, text)]))
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """The program, begun, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it printed, once it ended with `code`."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == code, f"ended with {process.returncode}:\n{out}\n{err}"
    return out.strip()


def run(program: str, *arguments: object, code: int = 0) -> str:
    """What the program printed."""
    return finished(start(program, *arguments), code)


def count_in(path: object) -> int:
    """Checkpoints as a process of its own sees them: nothing of this one's memory is in it."""
    return int(
        run(
            """
            db = open_backend(sys.argv[1])
            with db.read() as now:
                print(now.count("checkpoints"))
            db.close()
            """,
            path,
        )
    )
