"""`perdure db copy FROM TO`: one database into another, in use or not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from perdure.cli.databases import check_there, key_in
from perdure.cli.progress import Progress
from perdure.cli.words import say

if TYPE_CHECKING:
    from perdure.admin import CopyReport

__all__ = ["COMMANDS", "add_to"]

_SAID: Final = {
    "threads": "threads looked at",
    "versions": "versions of items copied",
    "compared": "items compared",
}


def add_to(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Its arguments."""
    copy = command(
        "copy",
        "copy threads and memory to another database; again: what has changed since",
        key=False,
        at=False,
    )
    copy.add_argument("source", metavar="FROM", help="URL of the database that is copied; it may be in use")
    copy.add_argument("target", metavar="TO", help="URL of one that is empty, or begun by an earlier copy")
    for name, which in (("from", "FROM"), ("to", "TO")):
        copy.add_argument(
            f"--{name}-key-env", metavar="NAME", help=f"variable of the environment with the key of {which}"
        )
    copy.add_argument("--language", metavar="NAME", help="of the text index of TO; default: english")
    copy.add_argument(
        "--freeze", action="store_true", help="hold writers of FROM off while the last changes are copied"
    )
    copy.add_argument(
        "--wait", type=float, default=30.0, metavar="SECONDS", help="for writers, to freeze; default: 30"
    )


def _copy(options: argparse.Namespace) -> int:
    from perdure import admin
    from perdure.database import connect

    check_there(options.source)
    index: Any = None if options.language is None else {"language": options.language}
    keys = key_in(options.from_key_env), key_in(options.to_key_env)
    with (
        connect(options.source, encryption=keys[0], keep_history="all") as source,
        connect(options.target, encryption=keys[1], index=index, keep_history="all") as target,
        Progress("") as progress,
    ):

        def draw(what: str, done: int, total: int | None) -> None:
            progress.what = _SAID[what]
            progress.update(done, total)

        report = admin.copy(source, target, freeze=options.freeze, wait_seconds=options.wait, progress=draw)
    if options.json:
        say(asdict(report))
    else:
        _tell(report)
    if not report.complete:
        print(
            f"perdure: FROM was written while the last {report.changed:,} changes were copied. Run the same command again, or"
            " with --freeze.",
            file=sys.stderr,
        )
    return 0 if report.complete else 1


def _tell(report: CopyReport) -> None:
    rows = [
        (
            "threads",
            f"{report.threads:,}, {report.threads_copied:,} copied now, {report.threads_removed:,} removed",
        ),
        (
            "memory",
            f"{report.versions:,} versions of {report.items:,} items in {report.namespaces:,} namespaces,"
            f" {report.versions_copied:,} copied now",
        ),
        (
            "erased",
            f"{report.erased:,} items of which FROM keeps less than was copied" if report.erased else "",
        ),
        (
            "last pass",
            f"{report.changed:,} changes, {'writers held off' if report.frozen else 'nobody held off'}",
        ),
        ("digests", f"threads {report.digest_of_threads}"),
        ("", f"memory  {report.digest_of_memory}"),
    ]
    for name, text in rows:
        if text:
            print(f"{name:<10} {text}")
    if report.complete:
        print("FROM and TO are equal: every thread was read back, every version compared.")


COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {"copy": _copy}
