"""`perdure memory watch`: what is written to memory, commit by commit, until somebody stops it.

Here: lines for people, JSON for programs, how it ends. Not here: following the changes (`store.watch`).
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from perdure.cli.words import labels_of, text_of
from perdure.errors import Compacted

if TYPE_CHECKING:
    from perdure.store.face import BackendStore
    from perdure.store.watch import Changes, Event

__all__ = ["arguments", "watch"]

PROGRESS_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5  # between two looks whether anybody still reads the output
LEAST: Final = 20  # characters of a value, however narrow the terminal
_DOTS: Final = "..."


class _Terminated(KeyboardInterrupt):
    """SIGTERM. Ends the command as Ctrl-C does, by its own exit code."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said besides the prefix."""
    parser.add_argument(
        "--since", metavar="REVISION", help="go on behind this revision; default: from now on"
    )
    parser.add_argument(
        "--progress",
        type=_seconds,
        default=PROGRESS_SECONDS,
        metavar="SECONDS",
        help="with --json: a mark of progress when nothing was written for so long; default: 30",
    )


def watch(store: BackendStore, options: argparse.Namespace) -> int:
    """130 or 143: Ctrl-C or SIGTERM ended it; 1: what follows `--since` is no longer kept. Else a failure is raised."""
    prefix: tuple[str, ...] = tuple(options.prefix)
    done: str | None = options.since
    try:
        with _terminable():
            watch = store.watch(prefix, since=options.since, progress_seconds=options.progress)
            done = watch.revision
            _begin(prefix, done, for_programs=options.json)
            while True:
                changes = watch.next(timeout=LOOK_SECONDS)
                if changes is None:
                    _check_reader()
                elif changes or options.json:
                    tell = _as_json if options.json else _as_text
                    _print(tell(changes, done))
                    done = changes.revision
    except Compacted as error:
        print(f"perdure: {_missed(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        # A line of its own: a terminal has echoed ^C on the one before.
        print(f"\nStopped. To go on from here: --since {done}" if done else "\nStopped.", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)


def _begin(prefix: tuple[str, ...], revision: str, *, for_programs: bool) -> None:
    """Tells that from now on nothing is missed."""
    if for_programs:
        _print(json.dumps(_progress(revision)))
    else:
        print(f"Watching {labels_of(prefix)} from revision {revision} on.", file=sys.stderr, flush=True)


# ---- lines


def _as_json(changes: Changes, before: str) -> str:
    """`resume` is what to give as `--since` after this line: in the midst of a commit, what stood before it."""
    if not changes:
        return json.dumps(_progress(changes.revision))
    last = len(changes) - 1
    lines: list[dict[str, Any]] = [
        {
            "kind": event.kind,
            "revision": event.revision,
            "at": event.at.isoformat(),
            "namespace": list(event.namespace),
            "key": event.key,
            "value": event.value,
            "version": event.version,
            "origin": _origin(event),
            "resume": before if number < last else changes.revision,
        }
        for number, event in enumerate(changes)
    ]
    return "\n".join(map(json.dumps, lines))


def _progress(revision: str) -> dict[str, Any]:
    return {"kind": "progress", "revision": revision, "resume": revision}


def _as_text(changes: Changes, _: str) -> str:
    return "\n".join(map(_line, changes))


def _line(event: Event) -> str:
    origin = _origin(event)
    by = f" by {text_of(origin)}" if origin else ""
    where = f"{labels_of(event.namespace)} {text_of(event.key)}"
    head = f"{event.at:%Y-%m-%d %H:%M:%S} {event.revision} {event.kind} {where}{by}"
    if event.value is None:
        return head
    value = text_of(event.value)
    room = max(LEAST, shutil.get_terminal_size((100, 24)).columns - len(head) - 2)
    return f"{head}: {value if len(value) <= room else value[: room - len(_DOTS)] + _DOTS}"


def _origin(event: Event) -> dict[str, str]:
    return {name: part for name, part in event.origin._asdict().items() if part}


def _missed(error: Compacted) -> str:
    return (
        f"changes after revision {error.asked} were pruned, so some would be missed. The oldest revision from which none is"
        f" missing is {error.oldest}: --since {error.oldest} goes on there. For what was before, read memory anew"
        " (`perdure memory export`)."
    )


# ---- the other end of the pipe


def _print(text: str) -> None:
    """Whole lines, at once. Raises BrokenPipeError."""
    print(text, flush=True)


def _check_reader() -> None:
    """Raises BrokenPipeError when nobody reads the output any more, so that `| head` ends it though nothing is written."""
    if not hasattr(select, "poll"):  # Windows: the next line finds out
        return
    try:
        output = sys.stdout.fileno()
    except OSError:  # replaced by something that is no file
        return
    poll = select.poll()
    poll.register(output, 0)  # errors are told in any case
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


@contextmanager
def _terminable() -> Generator[None]:
    """SIGTERM raises, as Ctrl-C does. Not where the program around has the say over signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_: int, frame: FrameType | None) -> None:
    del frame
    raise _Terminated


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number
