"""A thousand tasks of one step add one to the same item: it counts a thousand, whoever dies, and whoever else counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from crash.counter import count
from crash.kit import SOURCE, TESTS, Nursery
from databases import KINDS, POSTGRES
from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.storage.contract import Backend
from perdure.storage.memory import MemoryBackend
from perdure.testing.faulty import Faulty, Killed, Moment

NUMBER = 1000
LASTING = pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("crash.counter") as nursery:
        yield nursery
    print(f"\n{nursery.kills} kills")


def over(backend: Backend) -> Database:
    """A database of its own object over a backend that outlives it."""
    db = connect("memory://")
    db.replace_backend(backend)
    return db


@pytest.mark.parametrize(
    "durability",
    ["async", *(pytest.param(durability, marks=pytest.mark.slow) for durability in ("sync", "exit"))],
)
@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_a_thousand_sends_count_a_thousand(url: str, durability: str) -> None:
    with connect(url) as db:
        assert count(db, "t", NUMBER, durability) == NUMBER
        assert count(db, "another", NUMBER, durability) == 2 * NUMBER


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit_in_memory(when: str) -> None:
    number = 0
    while True:
        number += 1
        kept = MemoryBackend()
        faulty = Faulty(kept, Moment("before" if when == "before" else "after", number), "die")
        try:
            count(over(faulty), "t", NUMBER)
        except Killed:
            HEADS.clear()  # a new process knows nothing
        else:
            if not faulty.fired:
                break

        assert count(over(kept), "t", NUMBER) == NUMBER
    assert number > 1


@pytest.mark.parametrize(("when", "at"), [("after", 1), ("before", 2), ("after", 2)])
@LASTING
def test_killed_at_a_commit(nursery: Nursery, url: str, when: str, at: int) -> None:
    nursery.run(url, "--kill", when, "--at", at)

    result = nursery.run(url).result

    assert (result["counted"], result["versions"]) == (NUMBER, NUMBER)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["sqlite", POSTGRES])
def test_killed_at_every_commit(
    nursery: Nursery, url_of: Callable[[str], str], kind: str, when: str, durability: str
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        url = url_of(kind)
        killed = nursery.run(url, "--kill", when, "--at", number, "--durability", durability).killed
        result = nursery.run(url, "--durability", durability).result
        assert (result["counted"], result["versions"]) == (NUMBER, NUMBER)

    assert number > 1


@LASTING
def test_two_processes_count_two_thousand(nursery: Nursery, url: str) -> None:
    names = ("left", "right")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))}
    command = [sys.executable, "-m", "crash.counter", url, "--thread"]
    both = [subprocess.Popen([*command, name], env=environment, stdout=subprocess.PIPE) for name in names]

    for process in both:
        process.communicate(timeout=100)

    assert [process.returncode for process in both] == [0, 0]
    result = nursery.run(url, "--thread", "third", "--number", 1).result
    assert (result["counted"], result["versions"]) == (2 * NUMBER + 1, 2 * NUMBER + 1)
