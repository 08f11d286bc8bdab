"""Two processes with eight threads each at the same few items: nothing fails, all agrees, and every watch saw it all once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from crash.kit import SOURCE, TESTS
from crash.memory_program import AFTER, BEFORE, SECOND, verify
from databases import POSTGRES
from perdure import connect


def crowd(url: str, name: str, turns: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crash.memory_crowd", url, name, str(turns)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))},
    )


@pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)
@pytest.mark.parametrize("turns", [25, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_crowd_of_processes_and_threads_leaves_memory_that_agrees(turns: int, url: str) -> None:
    with connect(url, index=SECOND, ttl={}, keep_history="all") as db:
        # As after all steps of the program: all is filed as SECOND says, and `verify` holds it to that.
        db.store.put(("progress",), "at", {"step": len(BEFORE) + len(AFTER)}, index=False)
        crowds = [crowd(url, name, turns) for name in ("left", "right")]
        try:
            for each in crowds:
                assert each.stdout is not None
                assert each.stdout.readline() == "done\n"
            db.store.put(("end",), "k", {"text": "the end"})
            told = [json.loads(each.communicate(timeout=60)[0]) for each in crowds]
        finally:
            for each in crowds:
                each.kill()
                each.wait()

        assert [found["failures"] for found in told] == [[], []]
        with db.backend.read() as now:
            rows = now.changes(None, 1 << 30)
        written = [row.version for row in rows]  # in the order of commits
        assert len(rows) > turns * 8
        for found in told:
            assert found["seen"] == written
        verify(db.backend)
