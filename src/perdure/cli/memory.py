"""`perdure memory ...`: looking at memory, moving it, forgetting it.

Here: arguments, lines for people, JSON for programs. Not here: what is done (the store's methods), watching (`watching.py`).
All that is printed of memory is JSON text, so no control character in it reaches a terminal.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from perdure.cli import watching
from perdure.cli.databases import check_there, key_in
from perdure.cli.progress import Progress
from perdure.cli.words import labels_of, say, text_of

if TYPE_CHECKING:
    from perdure.store.face import BackendStore
    from perdure.store.past import Forgotten

__all__ = ["add_to", "run"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage] - it has no public name
    """The command and its own commands."""
    memory = commands.add_parser(
        "memory",
        help="look at memory, move it, forget it",
        description="Memory across threads, as the store of a database has it.",
    )
    memory.set_defaults(run=run)
    inner = memory.add_subparsers(required=True, metavar="command", dest="what")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        made = inner.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        made.add_argument(
            "--db", default="sqlite:///perdure.db", metavar="URL", help="default: sqlite:///perdure.db"
        )
        made.add_argument(
            "--language", metavar="NAME", help="of the store's text index, as in index=; default: english"
        )
        made.add_argument(
            "--key-env", metavar="NAME", help="variable of the environment with the key, if it is encrypted"
        )
        made.add_argument("--json", action="store_true", help="for programs: JSON, one object a line")
        return made

    listing = command("ls", "list the namespaces below a prefix, with how many items each has")
    _prefix(listing)
    listing.add_argument("--limit", type=int, default=1000, metavar="N", help="default: 1000")

    show = command("show", "show one item, with its times, version and writer")
    history = command("history", "list the kept versions of an item, newest first")
    for one in (show, history):
        one.add_argument(
            "place", nargs="+", metavar="LABEL", help="its namespace, label by label, then its key"
        )

    search = command("search", "find items by words, or the newest")
    _prefix(search)
    search.add_argument("--query", metavar="WORDS", help="rank by these words")
    search.add_argument("--filter", type=_object, metavar="JSON", help='such as {"kind": "drink"}')
    search.add_argument("--limit", type=int, default=10, metavar="N", help="default: 10")

    export = command("export", "write memory below a prefix as JSONL")
    _prefix(export)
    export.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    export.add_argument("--history", action="store_true", help="with all kept versions")

    import_ = command("import", "read what `export` wrote; twice is once")
    import_.add_argument("file", type=Path, nargs="?", metavar="FILE", help="default: standard input")

    watch = command("watch", "tell what is written below a prefix, until Ctrl-C")
    _prefix(watch)
    watching.arguments(watch)

    check = command("check", "compare the items with all that is made of them: indexes, vectors, statistics")
    check.add_argument("--repair", action="store_true", help="make anew what disagrees, and check again")

    forget = command("forget", "erase all below a prefix for good, with all history")
    forget.add_argument("prefix", nargs="+", metavar="LABEL", help="whole labels, e.g. users ada")
    forget.add_argument("--yes", action="store_true", help="really do it; needed unless --dry-run")
    forget.add_argument("--dry-run", action="store_true", help="only tell what would go")
    forget.add_argument(
        "--threads", action="store_true", help="with the threads whose records name the prefix"
    )
    forget.add_argument("--thread", action="append", default=[], metavar="ID", help="with this thread; again")
    forget.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="for readers of an older state; default: 30",
    )


def _prefix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", nargs="*", metavar="LABEL", help="whole labels; none: everything")


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 done, 1 there is no such item, 128 and more stopped by a signal; a failure is raised."""
    from perdure.database import connect

    if options.what == "forget" and not (options.yes or options.dry_run):
        print(
            "perdure: forget erases for good. Nothing was deleted: look first with --dry-run, then say --yes.",
            file=sys.stderr,
        )
        return 2
    if options.what != "import":
        check_there(options.db)
    index: Any = None if options.language is None else {"language": options.language}
    with connect(options.db, encryption=key_in(options.key_env), index=index) as db:
        return _COMMANDS[options.what](db.store, options)


# ---- commands


def _ls(store: BackendStore, options: argparse.Namespace) -> int:
    prefix = tuple(options.prefix)
    for namespace in store.list_namespaces(prefix=prefix or None, limit=options.limit):
        items = store.count(namespace) - sum(
            store.count(below) for below in _children(store, namespace, options.limit)
        )
        if options.json:
            say({"namespace": list(namespace), "items": items})
        else:
            print(f"{items:>9,}  {labels_of(namespace)}")
    return 0


def _children(store: BackendStore, namespace: tuple[str, ...], limit: int) -> list[tuple[str, ...]]:
    below = store.list_namespaces(prefix=namespace, max_depth=len(namespace) + 1, limit=limit)
    return [one for one in below if len(one) > len(namespace)]


def _show(store: BackendStore, options: argparse.Namespace) -> int:
    *namespace, key = options.place
    item = store.get(tuple(namespace), key)
    if item is None or not namespace:
        print(f"perdure: there is no item {text_of(key)} in {labels_of(tuple(namespace))}", file=sys.stderr)
        return 1
    blame = store.blame(item.namespace, key)
    origin = {} if blame is None else {k: v for k, v in blame.version.origin._asdict().items() if v}
    say(
        {**item.dict(), "version": item.version, "revision": item.revision, "origin": origin},
        indent=None if options.json else 2,
    )
    return 0


def _history(store: BackendStore, options: argparse.Namespace) -> int:
    *namespace, key = options.place
    versions = store.history(tuple(namespace), key, limit=1_000_000)
    for one in versions:
        origin = {name: part for name, part in one.origin._asdict().items() if part}
        if options.json:
            say({"version": one.version, "revision": one.revision, "updated_at": one.updated_at.isoformat(),
                  "value": one.value, "origin": origin})  # fmt: skip
        else:
            by = f" by {text_of(origin)}" if origin else ""
            said = "deleted" if one.value is None else text_of(one.value)
            print(f"{one.updated_at:%Y-%m-%d %H:%M:%S} {one.revision}{by}: {said}")
    if not versions:
        print(f"perdure: nothing is kept of {text_of(key)} in {labels_of(tuple(namespace))}", file=sys.stderr)
    return 0 if versions else 1


def _search(store: BackendStore, options: argparse.Namespace) -> int:
    found = store.search(
        tuple(options.prefix), query=options.query, filter=options.filter, limit=options.limit
    )
    for item in found:
        if options.json:
            say({**item.dict(), "score": item.score})
        else:
            score = "" if item.score is None else f"{item.score:7.3f}  "
            print(f"{score}{labels_of(item.namespace)} {text_of(item.key)}: {text_of(item.value)}")
    if not found and options.prefix and not options.query and not options.filter:
        words = " ".join(options.prefix)
        print(
            f"perdure: there is nothing below {labels_of(tuple(options.prefix))}, which are labels;"
            f" to find these words say --query {shlex.quote(words)}",
            file=sys.stderr,
        )
    return 0


def _export(store: BackendStore, options: argparse.Namespace) -> int:
    out: IO[str] = sys.stdout if options.out is None else options.out.open("w", encoding="ascii")
    try:
        with Progress("items exported") as progress:
            for number, line in enumerate(store.export(tuple(options.prefix), history=options.history)):
                print(json.dumps(line), file=out)
                progress.update(number)
    finally:
        if options.out is not None:
            out.close()
    return 0


def _import(store: BackendStore, options: argparse.Namespace) -> int:
    with Progress("items imported") as progress:
        done = store.import_(
            _lines(options.file), progress=lambda so_far: progress.update(so_far.written + so_far.unchanged)
        )
    if options.json:
        say({"written": done.written, "unchanged": done.unchanged})
    else:
        print(f"{done.written:,} items written, {done.unchanged:,} stood there already")
    return 0


def _lines(path: Path | None) -> Iterator[bytes]:
    if path is None:
        yield from sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield from file


def _check(store: BackendStore, options: argparse.Namespace) -> int:
    found = store.check(repair=options.repair)
    _tell(found, options)
    if not (found and options.repair):
        if not options.json:
            print("mend it with --repair" if found else "all agrees with the items")
        return 1 if found else 0
    left = store.check()
    if not options.json:
        print("mended" if not left else "left after mending:")
    _tell(left, options)
    return 1 if left else 0


def _tell(found: list[tuple[str, int]], options: argparse.Namespace) -> None:
    for what, count in found:
        if options.json:
            say({"what": what, "count": count})
        else:
            print(f"{count:,} {what}")


def _forget(store: BackendStore, options: argparse.Namespace) -> int:
    threads: Any = True if options.threads else options.thread
    receipt = store.forget(
        tuple(options.prefix), threads=threads, wait_seconds=options.wait, dry_run=options.dry_run
    )
    if options.json:
        say(_as_dict(receipt))
        return 0
    said = ", ".join(f"{count:,} {table}" for table, count in receipt.counts.items())
    print(f"{'would go' if options.dry_run else 'deleted'} below {labels_of(receipt.prefix)}: {said}")
    for name in receipt.threads:
        goes = name in receipt.deleted_threads
        print(
            f"thread {text_of(name)} wrote there"
            + (": deleted as well" if goes else "; its state may hold copies")
        )
    if receipt.scrubbed:
        where = "in rows and indexes of the database" if receipt.left else "in the database's files"
        print(f"nothing of it is left {where} (revision {receipt.revision or 'unchanged'})")
    for text in receipt.left:
        print(f"left to you: {text}")
    return 0


def _as_dict(receipt: Forgotten) -> dict[str, Any]:
    return {
        "prefix": list(receipt.prefix),
        "revision": receipt.revision,
        "counts": receipt.counts,
        "threads": list(receipt.threads),
        "deleted_threads": list(receipt.deleted_threads),
        "scrubbed": receipt.scrubbed,
        "left": list(receipt.left),
    }


_COMMANDS: Final[dict[str, Callable[[BackendStore, argparse.Namespace], int]]] = {
    "ls": _ls,
    "show": _show,
    "history": _history,
    "search": _search,
    "export": _export,
    "import": _import,
    "watch": watching.watch,
    "check": _check,
    "forget": _forget,
}


# ---- words


def _object(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON
