"""Killing the own process at a chosen commit, and running programs that get killed.

A commit dies *before* (nothing of it is written) or *after* (all of it is; nobody was told). The signal is SIGKILL: no
handler runs, no buffer is flushed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from perdure.database import Database
from perdure.storage.contract import Backend, Commit, Outcome, Revision

__all__ = ["KILLED", "CrashingBackend", "Ended", "When", "crash_at", "run_program"]

When = Literal["before", "after"]
KILLED: Final = -signal.SIGKILL


class CrashingBackend:
    """A backend that kills its process at the `number`-th commit from now (1 is the next one)."""

    def __init__(self, backend: Backend, number: int, when: When = "before") -> None:
        """Counts commits one by one; a group's members are committed one after another, so that each can be met."""
        self._backend = backend
        self._left = number
        self._lock = threading.Lock()
        self._when: When = when

    def __repr__(self) -> str:
        return f"<CrashingBackend {self._when} commit {self._left} from now, over {self._backend!r}>"

    def __getattr__(self, name: str) -> Any:
        if name in ("enqueue", "lead_now"):
            raise AttributeError(name)
        return getattr(self._backend, name)

    def commit(self, commit: Commit, /) -> Revision:
        """Commits, unless it is the one."""
        with self._lock:
            self._left -= 1
            chosen = self._left == 0
        if chosen and self._when == "before":
            die()
        revision = self._backend.commit(commit)
        if chosen:
            die()
        return revision

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One after another."""
        outcomes: list[Outcome] = []
        for commit in commits:
            try:
                outcomes.append(self.commit(commit))
            except Exception as error:  # noqa: BLE001 - an outcome like another
                outcomes.append(error)
        return outcomes

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """At once, on the caller's thread."""
        done(self.commit_group([commit])[0])


def die() -> None:
    """The process ends here, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def crash_at(db: Database, number: int, when: When = "before") -> None:
    """The process kills itself at the database's `number`-th commit from now.

    Call it before a graph is compiled with `db`. Raises ValueError if `number` is below 1.
    """
    if number < 1:
        raise ValueError(f"commits count from 1, not {number}")
    backend: Any = CrashingBackend(db.backend, number, when)
    db.replace_backend(backend)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int  # KILLED if it was
    out: str
    err: str


def run_program(
    program: Path | str, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 120.0
) -> Ended:
    """Runs a Python program in a process of its own, with the interpreter and import path of this one."""
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(  # noqa: S603 - the caller's own program
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
    )
    return Ended(done.returncode, done.stdout, done.stderr)
