"""Programs of other processes: the writer, and `perdure` itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))}


@contextmanager
def writing(url: str, pause_seconds: float = 0.0) -> Generator[subprocess.Popen[str]]:
    """Somebody who writes to the database until the block ends; it is writing already when the block begins."""
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "admin" / "writer.py"), url, str(pause_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert int(out) > 3
    finally:
        process.kill()
        process.wait()


def perdure(*arguments: object) -> subprocess.Popen[str]:
    """The command, begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "perdure", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
