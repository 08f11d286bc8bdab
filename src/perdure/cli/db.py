"""`perdure db ...`: a database as its operator sees it.

Here: arguments of these commands, and which is which. Not here: what each prints (`db_look.py`, ...), what is done
(`perdure.admin`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from perdure.cli import db_copy, db_keep, db_look

__all__ = ["add_to", "run"]

Parsers = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage] - it has no public name


def add_to(commands: Parsers[argparse.ArgumentParser]) -> None:
    """The command and its own commands."""
    db = commands.add_parser(
        "db",
        help="look at a database, check it, prune it, copy it, save it",
        description="A database with all its threads and memory, for its operator.",
    )
    db.set_defaults(run=run)
    inner = db.add_subparsers(required=True, metavar="command", dest="what")

    def command(name: str, help: str, *, key: bool = True, at: bool = True) -> argparse.ArgumentParser:
        made = inner.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        if at:
            made.add_argument(
                "--db",
                default="sqlite:///perdure.db",
                metavar="URL",
                help="sqlite:///FILE or postgresql://USER@HOST/DATABASE?schema=NAME; default: sqlite:///perdure.db",
            )
        if key:
            made.add_argument(
                "--key-env",
                metavar="NAME",
                help="variable of the environment with the key, if it is encrypted",
            )
        made.add_argument("--json", action="store_true", help="for programs: JSON, one object a line")
        return made

    db_look.add_to(command)
    db_copy.add_to(command)
    db_keep.add_to(command)


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 done, 1 something is wrong; a failure is raised."""
    return _COMMANDS[options.what](options)


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    **db_look.COMMANDS,
    **db_copy.COMMANDS,
    **db_keep.COMMANDS,
}
