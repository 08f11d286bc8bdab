"""What the demo shows: a bar while it works, then a summary, or answers.

Here: text for people, JSON for programs.
Not here: what is counted (`run.py`), what is answered (`asking.py`).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

from perdure.demo.excerpt import excerpt
from perdure.demo.run import WORDS

if TYPE_CHECKING:
    from perdure.demo.asking import Answer
    from perdure.demo.run import Summary

__all__ = ["Progress", "answers_as_json", "answers_as_text", "as_json", "as_text"]

WIDTH = 30  # of the bar, in characters
NARROW = 40  # columns: a narrower terminal breaks lines
INDENT = "    "
PAUSE_SECONDS = 0.05  # between two drawings: a terminal is slower than a commit


class Progress:
    """A bar on stderr, drawn over itself, wiped at the end. `shown=False`: nothing at all."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self.drawn_at = 0.0

    def update(self, done: int, total: int) -> None:
        """Draws the bar, unless it was drawn just now."""
        now = perf_counter()
        if self.shown and now - self.drawn_at > PAUSE_SECONDS:
            self.drawn_at = now
            bar = ("#" * (WIDTH * done // max(total, 1))).ljust(WIDTH, ".")
            print(f"\r[{bar}] {done:,} of {total:,} speeches", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.drawn_at:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def as_json(summary: Summary) -> str:
    """The summary as one JSON object; sizes in bytes, times in seconds, a step in microseconds."""
    return json.dumps({**asdict(summary), "step_microseconds": summary.step_microseconds}, indent=2)


def as_text(summary: Summary, *, short: bool = False) -> str:
    """The summary for people: a line, or a small table."""
    heard = f"{summary.speeches:,} speeches in {summary.scenes} scenes"
    if short:
        return f"{heard}, {summary.memories:,} memories, digest {summary.digest}"
    now = f"{summary.speeches_now:,} heard now, {summary.speeches - summary.speeches_now:,} found done"
    time = f"{summary.seconds:.2f} s"
    if summary.step_microseconds is not None:
        time += f" for {summary.steps_now:,} steps: {summary.step_microseconds:,.0f} microseconds each"
    rows = [
        ("threads", f"{heard} ({now})"),
        ("memory", f"{summary.memories:,} items of {summary.characters} characters"),
        ("recalled", f"{summary.recalled:,} times something fitting said in an earlier scene"),
        ("search", _search(summary)),
        ("time", time),
        _where(summary),
        ("digest", summary.digest),
    ]
    table = "\n".join(f"  {name:<9} {text}" for name, text in rows)
    return f"Hamlet, heard and remembered.\n\n{table}\n\nRun it again: nothing is done twice."


def _where(summary: Summary) -> tuple[str, str]:
    if summary.disk_bytes is None:
        return "kept in", summary.database
    return "on disk", f"{summary.disk_bytes:,} bytes in {summary.database}"


def _search(summary: Summary) -> str:
    """By what memories were found, and what is missing if spelling was not among it."""
    found = " and by ".join(summary.recalled_by) or summary.searches_by
    missing = " (this Python has no NumPy: pip install 'perdure[search]')"
    return f"by {found}{missing if summary.searches_by == WORDS else ''}"


def answers_as_json(question: str, answers: Sequence[Answer]) -> str:
    """One JSON object; the speeches are whole."""
    return json.dumps({"question": question, "answers": [asdict(answer) for answer in answers]}, indent=2)


def answers_as_text(question: str, answers: Sequence[Answer]) -> str:
    """Who, where, and of the speech what has to do with the question, as wide as the terminal."""
    if not answers:
        return f"Nothing that is remembered fits {json.dumps(question)}."
    room = max(NARROW, shutil.get_terminal_size((100, 24)).columns) - len(INDENT)
    lines = [
        f"{answer.speaker}, {answer.place}\n{INDENT}{excerpt(answer.text, question, room)}"
        for answer in answers
    ]
    encoding = sys.stdout.encoding or "ascii"
    return "\n".join(lines).encode(encoding, "replace").decode(encoding)
