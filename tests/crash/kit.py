"""Words of the crash tests: programs that are killed and run again, what they remember, backends with faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from perdure.storage.contract import Backend
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend

SOURCE = Path(__file__).parents[2] / "src"
TESTS = Path(__file__).parents[1]
KILLED = -9


@dataclass(frozen=True, slots=True)
class Run:
    """How a program ended."""

    code: int
    out: str

    @property
    def killed(self) -> bool:
        return self.code == KILLED

    @property
    def result(self) -> dict[str, Any]:
        assert self.code == 0, f"ended with {self.code}:\n{self.out}"
        return json.loads(self.out)


Kept = Callable[[str], AbstractContextManager[Backend]]
"""Gives an empty backend of a kind that outlives the objects over it: the fixture `kept`."""


@contextmanager
def kept_in(kind: str, directory: Path, postgres: Callable[[], str]) -> Iterator[Backend]:
    """A backend that outlives the objects over it; `postgres` gives the URL of an empty schema."""
    backend: Backend
    match kind:
        case "memory":
            backend = MemoryBackend()
        case "sqlite":
            backend = SqliteBackend(directory / "a.db", synchronous="OFF")
        case _:
            from perdure.storage.postgres import PostgresBackend

            backend = PostgresBackend(postgres())
    try:
        yield backend
    finally:
        backend.close()
        for path in directory.glob("a.db*"):
            path.unlink()


class Nursery:
    """Runs a program again and again, each time in a process of its own that is born with everything imported."""

    def __init__(self, program: str = "crash.program") -> None:
        self.kills = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, "--nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))},
        )

    def run(self, *arguments: object, kill_after: float | None = None) -> Run:
        """The program with these arguments; killed from outside after so many seconds, if it has not ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job: dict[str, Any] = {"arguments": [str(argument) for argument in arguments]}
        if kill_after is not None:
            job["kill_after"] = kill_after
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        run = Run(**json.loads(self._process.stdout.readline()))
        self.kills += run.killed
        return run

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=20)


def url_of_place(place: str) -> str:
    """What programs of these tests are given: a URL, or the path of a file."""
    return place if "://" in place else f"sqlite:///{place}"


def remembered(result: dict[str, Any]) -> dict[str, Any]:
    """What must be equal with and without crashes. Whose turn it was to count is `in_turn`'s, see there."""
    shown = {name: result[name] for name in ("digest", "totals", "checkpoints")}
    return {**shown, "memory": in_turn(result["memory"])}


def in_any_order(result: dict[str, Any]) -> dict[str, Any]:
    """What must be equal if threads run at once: the digest is not."""
    memory = in_turn(result["memory"])
    return {"memory": memory, "totals": result["totals"], "checkpoints": result["checkpoints"]}


def in_turn(memory: dict[str, Any]) -> dict[str, Any]:
    """Memory as `memory_of` tells it, without whose turn it was to count.

    Siblings of a step that takes long are recorded as they finish, and count in that order: so on a slow machine, or beside one
    that failed, another may be the first.
    """
    return {
        key: sorted(json.dumps(value) for value, *_ in written) if key.startswith("('counts',)") else written
        for key, written in memory.items()
    }
