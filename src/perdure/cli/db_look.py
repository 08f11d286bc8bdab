"""`perdure db status | stats | check`: looking, and mending what can be made anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from perdure.cli.databases import check_there, key_in
from perdure.cli.progress import Progress
from perdure.cli.words import labels_of, say, text_of

if TYPE_CHECKING:
    from perdure.admin import Finding
    from perdure.storage.contract import ReplicaStatus

__all__ = ["COMMANDS", "add_to", "harmless"]


def add_to(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Their arguments."""
    status = command("status", "tell what the database is and how it stands", key=False)
    status.add_argument(
        "--read", metavar="URL", help="of its read replicas, where --db does not name them (Postgres)"
    )
    stats = command("stats", "count what it keeps, and tell where most of it is", key=False)
    stats.add_argument("--largest", type=int, default=10, metavar="N", help="so many are named; default: 10")
    check = command("check", "look for damage in files, threads and memory, and tell what mends it")
    check.add_argument("--repair", action="store_true", help="mend what can be made anew, and check again")
    check.add_argument(
        "--quick", action="store_true", help="leave the database's comparison of tables and indexes out"
    )
    check.add_argument("--language", metavar="NAME", help="of the text index, for --repair; default: english")


def _status(options: argparse.Namespace) -> int:
    from perdure import admin

    check_there(options.db, tables=False)
    found = admin.status(options.db, read=options.read)
    if options.json:
        say(asdict(found))
        return 0
    rows = [
        ("database", f"{found.kind} {text_of(found.where)}"),
        ("engine", found.engine),
        ("schema", _schema(found.schema, found.due)),
        ("revision", found.revision),
        ("floor", found.floor),
        ("encrypted", None if found.due else f"yes, key {found.encrypted}" if found.encrypted else "no"),
        *found.facts.items(),
        *(("replica", f"{text_of(one.where)}: {harmless(_behind(one))}") for one in found.replicas),
    ]
    for name, value in rows:
        if value is not None:
            print(f"{name:<14} {value}")
    return 0


def _schema(number: int, due: tuple[str, ...]) -> str:
    if not due:
        return f"{number}, up to date"
    return f"{number}, lacks {', '.join(due)}: `perdure db migrate`, or opening it, brings it up to date"


def _behind(replica: ReplicaStatus) -> str:
    """How a replica stands, in words."""
    note = f"; {replica.note}" if replica.note else ""
    if replica.follows is None:
        return f"does not answer{note}"
    if not replica.follows:
        return f"is not a replica of this database and is never asked{note}"
    if replica.bytes_behind == 0:
        return f"has all that the primary has{note}"
    lacks = "no commit"
    if replica.seconds_behind:
        lacks = f"commits of the last {replica.seconds_behind:,.1f} seconds"
    return f"{replica.bytes_behind:,} bytes of the log behind, lacks {lacks}{note}"


def _stats(options: argparse.Namespace) -> int:
    from perdure import admin
    from perdure.database import open_url

    check_there(options.db)
    backend = open_url(options.db)
    try:
        found = admin.stats(backend, largest=options.largest)
    finally:
        backend.close()
    if options.json:
        say(
            {
                "tables": [one._asdict() for one in found.tables],
                "threads": [one._asdict() for one in found.threads],
                "namespaces": [one._asdict() for one in found.namespaces],
            }
        )
        return 0
    print(f"{'rows':>12} {'bytes':>15}  table")
    for table in found.tables:
        size = "?" if table.bytes is None else f"{table.bytes:,}"
        print(f"{'' if table.name == 'other' else f'{table.rows:,}':>12} {size:>15}  {table.name}")
    if found.threads:
        print(f"\n{'checkpoints':>12} {'bytes':>15}  largest threads")
    for thread in found.threads:
        print(f"{thread.checkpoints:>12,} {thread.bytes:>15,}  {text_of(thread.thread)}")
    if found.namespaces:
        print(f"\n{'items':>12} {'bytes':>15}  largest namespaces")
    for space in found.namespaces:
        print(
            f"{space.items:>12,} {space.bytes:>15,}  {labels_of(space.namespace)} ({space.versions:,} versions)"
        )
    return 0


def _check(options: argparse.Namespace) -> int:
    from perdure import admin
    from perdure.database import connect

    check_there(options.db)
    index: Any = None if options.language is None else {"language": options.language}
    with connect(options.db, encryption=key_in(options.key_env), index=index) as db:
        with Progress("threads checked") as progress:
            found = admin.check(
                db, repair=options.repair, quick=options.quick, progress=lambda done: progress.update(done)
            )
        _tell(found, options)
        if found and options.repair:
            found = admin.check(db, quick=options.quick)
            if not options.json:
                print("left after mending:" if found else "mended")
            _tell(found, options)
    wrong = any(one.wrong for one in found)
    if not options.json and not wrong and not (found or options.repair):
        print("nothing is wrong")
    return 1 if wrong else 0


def _tell(found: list[Finding], options: argparse.Namespace) -> None:
    for one in found:
        if options.json:
            say(asdict(one))
            continue
        place = f" (such as {harmless(one.example)})" if one.example else ""
        kind = "" if one.wrong else " [left over]"
        print(f"{one.count:,} {one.what}{kind}, in the {one.part}{place}. What mends it: {one.mend}.")


def harmless(text: str) -> str:
    """Text that may come from a database, without what a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "ascii"
    return shown.encode(encoding, "replace").decode(encoding)


COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "status": _status,
    "stats": _stats,
    "check": _check,
}
