"""How a type that msgpack lacks is written: its number in the format, and its plain form.

A value that is not `None`, `bool`, `int`, `float`, `str`, `bytes`, `list` or a `dict` with text keys is an extension:
a tag, and inside it the packed plain form, which may again hold any value. Here: the built-in tags (format 1; numbers
are never used twice) and their conversions. Plain forms are read from data, so every `decode` trusts nothing: it
checks what it would otherwise allocate by. Types of modules that are slow to import live in `late_kinds.py`.
Imports nothing of Perdure; `registry.py`, `pack.py` and `slow.py` come in.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeVar
from uuid import UUID

__all__ = [
    "BUILT_IN",
    "BY_TAG",
    "NATIVE",
    "OBJECT",
    "PAIRS",
    "TEXT",
    "Decode",
    "Encode",
    "Kind",
    "StoredError",
    "want",
    "want_items",
    "want_list",
    "want_mapping",
]

Encode = Callable[[Any], object]
Decode = Callable[[Any], object]
_T = TypeVar("_T")
_ITEMS: type[list[Any]] = list
_MAPPING: type[dict[Any, Any]] = dict

NATIVE: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes, list, dict})
"""Types that msgpack writes by itself; nobody can register them."""

OBJECT = 100  # a registered type: a list of its name and its parts
PAIRS = 6  # a dict with keys that are not text: a flat list of keys and values
TEXT = 1  # a str with lone surrogates: its bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """One type's way into the format.

    Attributes:
        tag: the extension's number.
        encode: value to plain form.
        decode: plain form, unchecked, to value; may raise anything.
        layered: the plain form is a list that is not itself what the user sees; paths in messages skip it.
    """

    tag: int
    encode: Encode
    decode: Decode
    layered: bool = False


@dataclass(frozen=True, slots=True)
class StoredError:
    """What comes back of an exception that was saved: its name and its repr, not the exception.

    Exceptions hold tracebacks, connections, anything; building one from data would run its code.
    """

    type_name: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> StoredError:
        """The marker of this exception."""
        kind = type(error)
        try:
            text = repr(error)
        except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything, and the error must still be saved
            text = f"<{kind.__qualname__}, whose repr fails>"
        return cls(f"{kind.__module__}.{kind.__qualname__}", text)


def want(plain: object, kind: type[_T]) -> _T:
    """The plain form, if it has exactly this type; data may claim anything, so `bytearray(10**12)` must not pass."""
    if type(plain) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(plain).__name__}")
    return plain


def want_items(plain: object) -> list[Any]:
    """The plain form, if it is a list."""
    return want(plain, _ITEMS)


def want_mapping(plain: object) -> dict[Any, Any]:
    """The plain form, if it is a dict."""
    return want(plain, _MAPPING)


def want_list(plain: object, length: int) -> list[Any]:
    """The plain form, if it is a list of this length."""
    parts = want_items(plain)
    if len(parts) != length:
        raise ValueError(f"expected {length} parts, found {len(parts)}")
    return parts


def _big_to_plain(number: int) -> object:
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


def _big_from_plain(plain: object) -> object:
    return int.from_bytes(want(plain, bytes), "big", signed=True)


def _text_to_plain(text: str) -> object:
    return text.encode("utf-8", "surrogatepass")


def _text_from_plain(plain: object) -> object:
    return want(plain, bytes).decode("utf-8", "surrogatepass")


def _pairs_to_plain(mapping: dict[Any, Any]) -> object:
    return [part for pair in mapping.items() for part in pair]


def _pairs_from_plain(plain: object) -> object:
    flat = want_items(plain)
    if len(flat) % 2:
        raise ValueError("a key without a value")
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _moment_to_plain(moment: datetime) -> object:
    day = (moment.year, moment.month, moment.day)
    return [*day, moment.hour, moment.minute, moment.second, moment.microsecond, moment.fold, moment.tzinfo]


def _moment_from_plain(plain: object) -> object:
    *fields, fold, zone = want_list(plain, 9)
    return datetime(*fields, tzinfo=zone, fold=fold)


def _time_to_plain(moment: time) -> object:
    return [moment.hour, moment.minute, moment.second, moment.microsecond, moment.fold, moment.tzinfo]


def _time_from_plain(plain: object) -> object:
    *fields, fold, zone = want_list(plain, 6)
    return time(*fields, tzinfo=zone, fold=fold)


def _zone_to_plain(zone: timezone) -> object:
    offset = zone.utcoffset(None)
    name = zone.tzname(None)
    return [offset, None if name == timezone(offset).tzname(None) else name]


def _zone_from_plain(plain: object) -> object:
    offset, name = want_list(plain, 2)
    return timezone(offset) if name is None else timezone(offset, name)


# A factory is code; these are the ones whose name in the data means the same everywhere.
_FACTORIES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        list,
        dict,
        set,
        frozenset,
        tuple,
        int,
        float,
        str,
        bytes,
        bytearray,
        bool,
        complex,
        deque,
        Counter,
    )
}


def _default_to_plain(mapping: defaultdict[Any, Any]) -> object:
    factory = mapping.default_factory
    if factory is None:
        return [None, dict(mapping)]
    if _FACTORIES.get(getattr(factory, "__name__", "")) is not factory:
        raise TypeError(
            "its default_factory is a function of yours, which is code; use one of "
            f"{', '.join(sorted(_FACTORIES))}, or a plain dict"
        )
    return [factory.__name__, dict(mapping)]


def _default_from_plain(plain: object) -> object:
    name, content = want_list(plain, 2)
    factory = None if name is None else _FACTORIES[name]
    return defaultdict(factory, want_mapping(content))


def _queue_from_plain(plain: object) -> object:
    bound, items = want_list(plain, 2)
    return deque(want_items(items), bound)


def _range_from_plain(plain: object) -> object:
    start, stop, step = want_list(plain, 3)
    return range(start, stop, step)


# DEBUG would print, TEMPLATE is gone; the rest is what a pattern means.
_FLAGS = re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE


def _pattern_to_plain(pattern: re.Pattern[Any]) -> object:
    return [pattern.pattern, pattern.flags & int(_FLAGS)]


def _pattern_from_plain(plain: object) -> object:
    source, flags = want_list(plain, 2)
    return re.compile(source, want(flags, int) & int(_FLAGS))


def _path_decoder(kind: type[PurePosixPath | PureWindowsPath], elsewhere: type) -> Decode:
    def decode(plain: object) -> object:
        text = want(plain, str)
        try:
            return kind(text)
        except NotImplementedError:  # a path of the other operating system: its pure form keeps the meaning
            return elsewhere(text)

    return decode


def _error_from_plain(plain: object) -> object:
    type_name, text = want_list(plain, 2)
    return StoredError(want(type_name, str), want(text, str))


def _error_to_plain(error: object) -> object:
    marker = StoredError.of(error) if isinstance(error, BaseException) else want(error, StoredError)
    return [marker.type_name, marker.text]


# fmt: off
BUILT_IN: dict[type, Kind] = {
    str:             Kind(TEXT, _text_to_plain, _text_from_plain),  # only what msgpack refuses comes here
    int:             Kind(2, _big_to_plain, _big_from_plain),       # likewise: beyond 64 bits
    tuple:           Kind(3, list, lambda plain: tuple(want_items(plain))),
    set:             Kind(4, list, lambda plain: set(want_items(plain))),
    frozenset:       Kind(5, list, lambda plain: frozenset(want_items(plain))),
    dict:            Kind(PAIRS, _pairs_to_plain, _pairs_from_plain, layered=True),
    bytearray:       Kind(7, bytes, lambda plain: bytearray(want(plain, bytes))),
    complex:         Kind(8, lambda value: [value.real, value.imag], lambda plain: complex(*want_list(plain, 2))),
    datetime:        Kind(9, _moment_to_plain, _moment_from_plain, layered=True),
    date:            Kind(10, lambda day: [day.year, day.month, day.day], lambda plain: date(*want_list(plain, 3))),
    time:            Kind(11, _time_to_plain, _time_from_plain, layered=True),
    timedelta:       Kind(12, lambda span: [span.days, span.seconds, span.microseconds],
                          lambda plain: timedelta(*want_list(plain, 3))),
    timezone:        Kind(13, _zone_to_plain, _zone_from_plain, layered=True),
    Decimal:         Kind(15, str, lambda plain: Decimal(want(plain, str))),
    UUID:            Kind(17, lambda value: value.bytes, lambda plain: UUID(bytes=want(plain, bytes))),
    PurePosixPath:   Kind(18, str, lambda plain: PurePosixPath(want(plain, str))),
    PureWindowsPath: Kind(19, str, lambda plain: PureWindowsPath(want(plain, str))),
    PosixPath:       Kind(20, str, _path_decoder(PosixPath, PurePosixPath)),
    WindowsPath:     Kind(21, str, _path_decoder(WindowsPath, PureWindowsPath)),
    re.Pattern:      Kind(22, _pattern_to_plain, _pattern_from_plain, layered=True),
    range:           Kind(24, lambda value: [value.start, value.stop, value.step], _range_from_plain),
    deque:           Kind(25, lambda queue: [queue.maxlen, list(queue)], _queue_from_plain, layered=True),
    OrderedDict:     Kind(26, dict, lambda plain: OrderedDict(want_mapping(plain))),
    defaultdict:     Kind(27, _default_to_plain, _default_from_plain, layered=True),
    Counter:         Kind(28, dict, lambda plain: Counter(want_mapping(plain))),
    StoredError:     Kind(29, _error_to_plain, _error_from_plain, layered=True),
}
# fmt: on
"""Type to kind, for what this file knows; 14, 16, 23 and 30 to 33 are in `late_kinds.py`."""

BY_TAG: dict[int, Kind] = {kind.tag: kind for kind in BUILT_IN.values()}
