"""`perdure db backup | restore | prune | migrate`: keeping a database, and keeping it small."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Final

from perdure.cli.databases import check_there, key_in
from perdure.cli.progress import Progress
from perdure.cli.words import say, text_of

__all__ = ["COMMANDS", "add_to"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"(\d{1,9})([smhdw])")


def add_to(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Their arguments."""
    backup = command("backup", "save the database as a file, while it is in use", key=False)
    backup.add_argument("file", type=Path, metavar="FILE", help="where to; it must not be there yet")
    backup.add_argument("--force", action="store_true", help="replace what stands there")
    restore = command("restore", "put a saved file in the database's place", key=False)
    restore.add_argument("file", type=Path, metavar="FILE", help="what `backup` has written")
    restore.add_argument("--force", action="store_true", help="replace the database that stands there")
    prune = command("prune", "take away old checkpoints of threads and old versions of items")
    prune.add_argument(
        "--older-than", type=_age, metavar="AGE", help="what is older goes, e.g. 30d; units: s, m, h, d, w"
    )
    prune.add_argument(
        "--keep", type=_number, metavar="N", help="newest checkpoints of each thread that stay; default: 1"
    )
    prune.add_argument(
        "--keep-versions",
        type=_number,
        metavar="N",
        help="newest versions of each item that stay, of any age",
    )
    part = prune.add_mutually_exclusive_group()
    part.add_argument("--threads", action="store_true", help="only threads")
    part.add_argument("--memory", action="store_true", help="only versions of items")
    prune.add_argument("--dry-run", action="store_true", help="only tell what would go")
    migrate = command("migrate", "bring the schema up to date", key=False)
    migrate.add_argument("--dry-run", action="store_true", help="only tell what is due")


def _backup(options: argparse.Namespace) -> int:
    from perdure import admin

    check_there(options.db, tables=False)
    with Progress("pages saved") as progress:
        size = admin.backup(options.db, options.file, force=options.force, progress=progress.update)
    return _saved("saved", options, size)


def _restore(options: argparse.Namespace) -> int:
    from perdure import admin

    with Progress("pages restored") as progress:
        size = admin.restore(options.file, options.db, force=options.force, progress=progress.update)
    return _saved("restored", options, size)


def _saved(what: str, options: argparse.Namespace, size: int) -> int:
    if options.json:
        say({"done": what, "db": options.db, "file": str(options.file), "bytes": size})
    else:
        way = "to" if what == "saved" else "from"
        print(f"{what} {way} {text_of(str(options.file))}: {size:,} bytes, checked")
    return 0


def _prune(options: argparse.Namespace) -> int:
    from perdure import admin
    from perdure.database import connect

    check_there(options.db)
    with (
        connect(options.db, encryption=key_in(options.key_env), keep_history="all") as db,
        Progress("") as progress,
    ):

        def draw(what: str, done: int) -> None:
            progress.what = f"{what} {'looked at' if what == 'threads' else 'gone'}"
            progress.update(done)

        gone = admin.prune(
            db,
            older_than=options.older_than,
            keep=options.keep,
            keep_versions=options.keep_versions,
            threads=not options.memory,
            memory=not options.threads,
            dry_run=options.dry_run,
            progress=draw,
        )
    if options.json:
        say({**asdict(gone), "dry_run": options.dry_run})
    else:
        print(
            f"{'would go' if options.dry_run else 'gone'}: {gone.checkpoints:,} checkpoints of {gone.threads:,} threads,"
            f" {gone.versions:,} versions of items"
        )
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from perdure import admin

    check_there(options.db, tables=False)
    before, steps = admin.due(options.db) if options.dry_run else admin.migrate(options.db)
    if options.json:
        say({"before": before, "steps": list(steps), "dry_run": options.dry_run})
    elif not steps:
        print(f"nothing is due: the schema is {before}")
    for step in () if options.json else steps:
        print(f"{'due' if options.dry_run else 'done'}: {step}")
    return 0


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age: a whole number and s, m, h, d or w, such as 30d"
        )
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is too long ago") from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return int(text)


COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "backup": _backup,
    "restore": _restore,
    "prune": _prune,
    "migrate": _migrate,
}
