"""Between a checkpoint as the interface has it, and its row; what it says of itself is sealed as its values are. Pure.

Here: metadata, times, and what a checkpoint may have that a row has no column for. Not here: channels' values
(`reading.py`, `writing.py`), the row's `state` (`storage/chains.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

import ormsgpack

from perdure.checkpoint.base import LATEST_VERSION, Checkpoint, CheckpointMetadata
from perdure.errors import EncodingError, StorageError
from perdure.storage.chains import Pieces
from perdure.storage.contract import CheckpointRow, RunRow
from perdure.storage.sealing import opened, sealed, seals

__all__ = [
    "Columns",
    "columns_of",
    "extras_of",
    "matches",
    "metadata_of",
    "packed_extras",
    "plain",
    "raw_extras",
    "time_of",
    "unpacked_run",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN: Final = frozenset(Checkpoint.__annotations__)
_COLUMNS: Final[dict[str, Any]] = {"source": "", "step": 0, "parents": {}}
_OPTIONS: Final = ormsgpack.OPT_NON_STR_KEYS
_INT64: Final = 1 << 63


class Columns(NamedTuple):
    """What a checkpoint and its metadata are in a row; `extras` goes behind the row's state."""

    source: str
    step: int
    at: int
    metadata: bytes | None
    extras: dict[str, Any]


def columns_of(checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], now: int) -> Columns:
    """The columns for a checkpoint that was put by hand, which may lack anything.

    Raises:
        EncodingError: a part of the metadata is no plain value.
    """
    rest = dict(metadata)
    extras: dict[str, Any] = {}
    absent = [key for key in _COLUMNS if key not in rest]
    if absent:
        extras["absent"] = absent
    source, step = rest.get("source"), rest.get("step")
    if type(source) is str:
        del rest["source"]
    if type(step) is int and -_INT64 <= step < _INT64:
        del rest["step"]
    if rest.get("parents") == {}:
        del rest["parents"]
    at = _micros(checkpoint.get("ts"))
    if checkpoint.get("ts") != time_of(now if at is None else at):
        extras["ts"] = plain(checkpoint.get("ts"), "checkpoint.ts")
    if checkpoint.get("v") != LATEST_VERSION:
        extras["v"] = plain(checkpoint.get("v"), "checkpoint.v")
    more = {key: plain(value, f"checkpoint.{key}") for key, value in checkpoint.items() if key not in _KNOWN}
    if more:
        extras["more"] = more
    return Columns(
        _clean(source) if type(source) is str else "",
        step if type(step) is int and -_INT64 <= step < _INT64 else 0,
        now if at is None else at,
        _packed(rest) if rest else None,
        extras,
    )


def packed_extras(extras: dict[str, Any], pieces: Pieces, thread: str, ns: str, id: str) -> Any:
    """As they go behind the row's state: bytes where they are sealed."""
    if not seals(pieces):
        return extras
    return sealed(pieces, ormsgpack.packb(extras, option=_OPTIONS), thread, "extras", ns, id)


def raw_extras(row: CheckpointRow) -> list[Any]:
    """What stands behind the row's state, as it is: nothing, or one thing."""
    state: list[Any] = _unpack(row.state, row)
    return state[4:5]


def extras_of(row: CheckpointRow, pieces: Pieces) -> dict[str, Any]:
    """What the row has no column for; nothing where a graph wrote it."""
    for extras in raw_extras(row):
        if not seals(pieces) and isinstance(extras, dict):
            return cast("dict[str, Any]", extras)
        packed = extras if isinstance(extras, bytes) else ormsgpack.packb(extras, option=_OPTIONS)
        return _unpack(opened(pieces, packed, row.thread, "extras", row.ns, row.id), row)
    return {}


def metadata_of(row: CheckpointRow, run: Mapping[str, Any], pieces: Pieces) -> CheckpointMetadata:
    """The row's metadata over those that its run shares."""
    found: dict[str, Any] = {"source": row.source, "step": row.step, "parents": {}, **run}
    for key in extras_of(row, pieces).get("absent", ()):
        found.pop(key, None)
    if row.metadata is not None:
        packed = opened(pieces, row.metadata, row.thread, "metadata", row.ns, row.id)
        found.update(_unpack(packed, row))
    return cast("CheckpointMetadata", found)


def unpacked_run(row: RunRow, pieces: Pieces) -> dict[str, Any]:
    """What the checkpoints of a run share."""
    return ormsgpack.unpackb(opened(pieces, row.metadata, row.thread, "run", row.id), option=_OPTIONS)


def matches(metadata: Mapping[str, Any], filter: Mapping[str, Any] | None) -> bool:
    """Whether every key of the filter has that value; a key with dots may be a path, a missing one is None."""
    return not filter or all(_found(metadata, key) == value for key, value in filter.items())


def time_of(micros: int) -> str:
    """The moment in ISO 8601, UTC."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat()


def _found(metadata: Mapping[str, Any], key: str) -> object:
    if key in metadata:
        return metadata[key]
    at: object = metadata
    for part in key.split("."):
        if not isinstance(at, dict):
            return None
        at = cast("dict[str, object]", at).get(part)
    return at


def _micros(ts: object) -> int | None:
    if not isinstance(ts, str):
        return None
    try:
        moment = datetime.fromisoformat(ts)
    except ValueError:
        return None
    return None if moment.tzinfo is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _packed(metadata: dict[str, Any]) -> bytes:
    return ormsgpack.packb(plain(metadata, "metadata"), option=_OPTIONS)


def plain(value: object, path: str) -> Any:
    """The value as filters and other programs read it: JSON's types. NUL is left out, surrogates become `?`."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _clean(str(value))
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < 2 * _INT64 else str(int(value))
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {_clean(str(key)): plain(item, f"{path}.{key}") for key, item in entries.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("list[object]", value)
        return [plain(item, f"{path}[{place}]") for place, item in enumerate(items)]
    to_json: Callable[[], object] | None = getattr(value, "model_dump", None)
    if to_json is not None:
        return plain(to_json(), path)
    raise EncodingError(
        f"{path} is a {type(value).__module__}.{type(value).__qualname__}; metadata hold plain values (strings, numbers, "
        "booleans, None, lists, dicts). Nothing was written.",
        path=path,
    )


def _clean(text: str) -> str:
    text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _unpack(packed: bytes, row: CheckpointRow) -> Any:
    try:
        return ormsgpack.unpackb(packed, option=_OPTIONS)
    except ValueError as error:
        raise StorageError(
            f"checkpoint {row.id} of thread {row.thread!r} cannot be read: its row is damaged."
        ) from error
