"""Memory as lines of JSON and back, exactly: what an export says of an item, and the commits of an import.

A line is a dict that `json.dumps` takes as it is (with `ensure_ascii`, its default, any text survives): first a header,
then one for each item, last the count, by which an export that was cut off is told from a whole one. When a value ends
stands in `expires_at` (null: never), how long it lives anew when it is read in `ttl_microseconds`; lines of exports that
were made before these two say nothing about it.
Here: lines, pages, batches. Not here: arguments and colours (`item_moving.py`).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias, cast

from perdure import clock
from perdure.errors import ContractError, EncodingError, QueryError, VersionConflict
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    ItemIs,
    ItemRow,
    Namespace,
    Origin,
    PutItem,
    Revision,
    Snapshot,
    chunks,
    commit_now,
)
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import moment_of
from perdure.storage.lifetimes import FOR_EVER, Life, is_over
from perdure.store.base.ops import check_labels

__all__ = ["FORMAT", "Imported", "Line", "exported", "imported"]

FORMAT: Final = 1
Line: TypeAlias = "dict[str, Any]"

_ALL: Final = (1 << 63) - 1
_PAGE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES: Final = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    """What `store.import_` did.

    Attributes:
        written: items that were written.
        unchanged: items that stood there as the export has them.
    """

    written: int
    unchanged: int


class Reads(Protocol):
    """Gives snapshots."""

    def __call__(self) -> AbstractContextManager[Snapshot]:
        """One of what is committed now."""
        ...


# ---- out


def exported(codec: ItemCodec, read: Reads, prefix: Namespace, *, history: bool) -> Iterator[list[Line]]:
    """The lines, a page at a time, all as of the moment when the first was asked for.

    No snapshot is held between two pages, so whoever takes them may take their time.

    Raises:
        Compacted: items were replaced meanwhile and what they were was pruned.
    """
    at = clock.micros()
    with read() as snapshot:
        then = snapshot.revision()
        places = snapshot.touched(prefix, Revision(then.epoch, 0), None) if history else []
    yield [{"perdure": "memory", "format": FORMAT, "prefix": list(prefix), "revision": str(then)}]
    count = 0
    pages = _with_past(codec, read, places, then) if history else _living(codec, read, prefix, then, at)
    for page in pages:
        count += len(page)
        yield page
    yield [{"items": count}]


def _living(
    codec: ItemCodec, read: Reads, prefix: Namespace, then: Revision, at: int
) -> Generator[list[Line]]:
    before: int | None = None
    while True:
        with read() as snapshot:
            rows = snapshot.items_at(prefix, then, before, _PAGE, at)
            live = [snapshot.item(row.namespace, row.key) for row in rows]
        if not rows:
            return
        yield [_line(codec, row, now) for row, now in zip(rows, live, strict=True)]
        before = rows[-1].version


def _with_past(
    codec: ItemCodec, read: Reads, places: list[tuple[Namespace, str]], then: Revision
) -> Generator[list[Line]]:
    for some in chunks(places, _PAGE):
        page: list[Line] = []
        with read() as snapshot:
            for namespace, key in some:
                kept = [
                    row for row in snapshot.history(namespace, key, _ALL).versions if row.revision <= then
                ]
                if kept:
                    line = _line(codec, kept[0], snapshot.item(namespace, key))
                    line["history"] = [_version(codec, row) for row in kept[:0:-1]]
                    page.append(line)
        yield page


def _line(codec: ItemCodec, row: ItemRow, live: ItemRow | None) -> Line:
    paths = None if live is None else live.paths
    index = None if paths is None else list(paths) or False
    return {"namespace": list(row.namespace), "key": row.key, "index": index, **_version(codec, row)}


def _version(codec: ItemCodec, row: ItemRow) -> Line:
    origin = {name: part for name, part in row.origin._asdict().items() if part is not None}
    value, contract = (None, 0) if row.value is None else codec.written(row.namespace, row.key, row.value)
    return {
        "value": value,
        "created_at": moment_of(row.created_at).isoformat(),
        "updated_at": moment_of(row.updated_at).isoformat(),
        **({"origin": origin} if origin else {}),
        **({"contract": contract} if contract else {}),
        **({} if row.value is None else _end(row)),
    }


def _end(row: ItemRow) -> Line:
    if row.expires is None:
        return {"expires_at": None}
    ttl: Line = {} if row.ttl is None else {"ttl_microseconds": row.ttl}
    return {"expires_at": moment_of(row.expires).isoformat(), **ttl}


# ---- in


def imported(
    codec: ItemCodec, backend: Backend, lines: Iterable[Mapping[str, Any] | str | bytes]
) -> Iterator[Imported]:
    """What was done so far, after each batch, which is a commit.

    Raises:
        QueryError: a line that no export has; it says which. Batches before it are written.
        ContractError: an item that does not fit its contract, nor can be brought to its present version. As above.
    """
    batch: list[list[PutItem]] = []
    so_far, read, ended = Imported(0, 0), 0, False
    for number, line in enumerate(lines, 1):
        given = _read_line(line, number)
        if number == 1:
            _check_header(given)
        elif ended:
            raise _bad(number, "it stands behind the last line of an export")
        elif "namespace" not in given:
            ended = True
            if given.get("items") != read:
                raise _bad(number, f"it counts {given.get('items')!r} items, but {read} were read")
        else:
            read += 1
            batch.append(_puts(codec, given, number))
            if len(batch) == _PAGE:
                so_far = _written(codec, backend, batch, so_far)
                batch = []
                yield so_far
    so_far = _written(codec, backend, batch, so_far)
    yield so_far
    if not ended:
        raise QueryError(
            f"the export is cut off: its last line, which counts the items, is missing. The {read} items before are"
            " imported. Export again, and import that: what is there already is not written twice.",
            part="lines",
        )


def _written(codec: ItemCodec, backend: Backend, batch: list[list[PutItem]], so_far: Imported) -> Imported:
    if not batch:
        return so_far
    written = 0
    now = clock.micros()
    for attempt in range(_TRIES):
        puts: list[PutItem] = []
        expected: list[ItemIs] = []
        written = 0
        with backend.read() as snapshot:
            for versions in {(one[-1].namespace, one[-1].key): one for one in batch}.values():
                last = versions[-1]
                live = snapshot.item(last.namespace, last.key)
                past = live is not None or bool(snapshot.history(last.namespace, last.key, 1).versions)
                if _stands(codec, live, last, now, past=past):
                    continue
                written += 1
                expected.append(ItemIs(last.namespace, last.key, None if live is None else live.version))
                puts += [last] if past else versions
        if not puts:
            break
        try:
            outcome.commit(backend, commit_now(versions=expected, items=puts))
            break
        except VersionConflict:
            if attempt + 1 == _TRIES:
                raise
    return Imported(so_far.written + written, so_far.unchanged + len(batch) - written)


def _stands(codec: ItemCodec, live: ItemRow | None, put: PutItem, now: int, *, past: bool) -> bool:
    """Whether the item is what the export says, so that there is nothing to write."""
    if live is None or live.value is None:
        return past and (put.value is None or is_over(put.expires, now))
    if put.value is None or put.times is None or put.paths != live.paths or live.updated_at < put.times[1]:
        return False
    if not (put.keeps or _lives(live, put)):
        return False
    stored, under = codec.written(live.namespace, live.key, live.value)
    given, wanted = codec.written(put.namespace, put.key, put.value)
    return under == wanted and json.dumps(stored, sort_keys=True) == json.dumps(given, sort_keys=True)


def _lives(live: ItemRow, put: PutItem) -> bool:
    """Whether it ends as the export says, or later because it was read here."""
    if live.expires is None or put.expires is None:
        return live.expires == put.expires
    return live.ttl == put.ttl and live.expires >= put.expires


def _read_line(line: object, number: int) -> Mapping[str, Any]:
    if isinstance(line, str | bytes):
        try:
            line = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad(number, f"it is no JSON: {error}") from error
    if not isinstance(line, Mapping):
        raise _bad(number, f"it is a {type(line).__name__}, no JSON object")
    return cast("Mapping[str, Any]", line)


def _check_header(given: Mapping[str, Any]) -> None:
    if given.get("perdure") != "memory":
        raise _bad(1, "it is not the first line of an export of memory")
    if given.get("format") != FORMAT:
        raise _bad(1, f"its format is {given.get('format')!r}, and this version of Perdure reads {FORMAT}")


def _puts(codec: ItemCodec, given: Mapping[str, Any], number: int) -> list[PutItem]:
    """The item's versions, oldest first."""
    if not given.get("namespace") or not isinstance(given.get("key"), str):
        raise _bad(number, "it has no namespace, or no key")
    try:
        namespace, key = check_labels(tuple(given["namespace"])), given["key"]
        paths, older = _paths(given.get("index")), list(given.get("history", ()))
        found = [_put(codec, namespace, key, version, None) for version in older]
        return [*found, _put(codec, namespace, key, given, paths, last=True)]
    except (ContractError, EncodingError) as error:
        why = str(error).removesuffix(" Nothing was written.")
        error.args = (f"line {number} cannot be imported: {why} Lines before it may be imported already.",)
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _bad(number, f"it is no item of an export ({error!r})") from error


def _put(
    codec: ItemCodec,
    namespace: Namespace,
    key: str,
    given: Mapping[str, Any],
    paths: tuple[str, ...] | None,
    *,
    last: bool = False,
) -> PutItem:
    value = given["value"]
    times = _micros(given["created_at"]), _micros(given["updated_at"])
    origin = Origin(**given.get("origin", {}))
    if any(part is not None and not isinstance(part, str) for part in origin):  # pyright: ignore[reportUnnecessaryIsInstance] - it was read
        raise ValueError(f"its origin is {given['origin']!r}")
    if value is None:
        return PutItem(namespace, key, None, origin, times=times)
    version = int(given.get("contract", 0))
    stored = codec.encode_as(namespace, key, value, version)
    if last and codec.contracts is not None:
        codec.contracts.check_as(namespace, key, value, version)
    filed = codec.filed(value, paths) if last else None
    expires, ttl = _life(given)
    keeps = "expires_at" not in given  # made before ends were exported: who has the item knows better
    return PutItem(
        namespace, key, stored, origin, filed, paths, ttl=ttl, expires=expires, keeps=keeps, times=times
    )


def _paths(index: object) -> tuple[str, ...] | None:
    if index is None:
        return None
    if index is False:
        return ()
    paths = cast("list[object]", index)
    if not isinstance(index, list | tuple) or not all(isinstance(path, str) for path in paths):
        raise ValueError(f"its index is {index!r}")
    return cast("tuple[str, ...]", tuple(paths))


def _life(given: Mapping[str, Any]) -> Life:
    expires, ttl = given.get("expires_at"), given.get("ttl_microseconds")
    if expires is None:
        if ttl is not None:
            raise ValueError("ttl_microseconds without expires_at")
        return FOR_EVER
    if ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool) or not 1 <= ttl < _ALL):
        raise ValueError(f"ttl_microseconds is {ttl!r}")
    return Life(_micros(expires), ttl)


def _micros(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _bad(number: int, what: str) -> QueryError:
    return QueryError(
        f"line {number} cannot be imported: {what}. Lines before it may be imported already; it and those behind it are"
        " not. Importing again writes nothing twice.",
        part=str(number),
    )
