"""Values to msgpack and back by the shortest way: ormsgpack does the work, a hook sees what it does not know.

ormsgpack would turn tuples, subclasses, dataclasses, enums and dates into something else without asking; the
pass-through options send them to the hook. Two things no option stops: `bytearray` and `memoryview` become `bytes`, so
wherever bytes were written the value is looked through. What this way refuses (lone surrogates, keys that are not
text, depth, unknown types) goes to `slow.py`, which writes the same format or says what is wrong, and where.
Imports `registry`, `slow`; `envelope.py` comes in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

import ormsgpack
from ormsgpack import Ext, packb, unpackb

from perdure.codec.registry import Registry
from perdure.codec.slow import pack_slowly, unpack_slowly

__all__ = ["Packer"]

_OPTIONS = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# An extension inside an extension is a call of Python inside C inside Python: this many at most, then the slow way,
# which has no such stack. Damaged data can therefore not exhaust the C stack, whatever the recursion limit is.
_LEVELS = 32

_CONTAINERS: frozenset[type] = frozenset({list, dict})
_SWALLOWED: frozenset[type] = frozenset(
    {
        bytearray,
        memoryview,
        ormsgpack.Ext,
        getattr(ormsgpack, "Fragment", ormsgpack.Ext),
    }  # Fragment: from 1.13
)


class Packer:
    """Packs and unpacks with the types of one registry. Holds nothing of a value between calls; safe from any thread."""

    __slots__ = ("_escaped", "_packers", "_registry", "_unpackers")

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._escaped = threading.local()
        self._packers = [partial(self._extension, level) for level in range(_LEVELS)]
        self._unpackers = [partial(self._value, level) for level in range(_LEVELS)]

    def pack(self, value: object, path: str) -> bytes:
        """The value's bytes.

        Raises:
            EncodingError: a part cannot be saved; its path begins with `path`.
        """
        try:
            packed = packb(value, self._packers[0], _OPTIONS)
        except Exception:  # noqa: BLE001 - of any failure, also of a user's function, the slow way finds out the place
            self._let_through()
            return pack_slowly(value, path, self._registry, self._pack_quickly)
        if (0xC4 in packed or 0xC5 in packed or 0xC6 in packed) and _hides_swallowed(value):
            return pack_slowly(value, path, self._registry, self._pack_quickly)
        return packed

    def unpack(self, packed: bytes) -> Any:
        """The value of these bytes.

        Raises:
            EncodingError: damaged bytes, or a type that the registry does not have.
        """
        try:
            return unpackb(packed, ext_hook=self._unpackers[0])
        except Exception:  # noqa: BLE001 - ormsgpack hides the cause; the slow way meets it again and names it
            self._let_through()
            return unpack_slowly(packed, self._registry)

    def _pack_quickly(self, value: object) -> bytes | None:
        try:
            return self._packed(value, 0)
        except Exception:  # noqa: BLE001 - the caller goes on by the slow way
            self._let_through()
            return None

    def _packed(self, plain: object, level: int) -> bytes:
        packed = packb(plain, self._packers[level], _OPTIONS)
        if (0xC4 in packed or 0xC5 in packed or 0xC6 in packed) and _hides_swallowed(plain):
            raise TypeError("holds a type that ormsgpack would change")
        return packed

    def _extension(self, level: int, value: object) -> Ext:
        kind = self._registry.kind_of(type(value))
        if kind is None or level + 1 == _LEVELS:
            raise TypeError("for the slow way")
        try:
            return Ext(kind.tag, self._packed(kind.encode(value), level + 1))
        except Exception:
            raise
        except (
            BaseException
        ) as signal:  # Ctrl-C in the middle of a value: ormsgpack would make a TypeError of it
            self._escaped.signal = signal
            raise

    def _value(self, level: int, tag: int, packed: bytes) -> object:
        if level + 1 == _LEVELS:
            raise ValueError("for the slow way")
        try:
            return self._registry.build(tag, unpackb(packed, ext_hook=self._unpackers[level + 1]))
        except Exception:
            raise
        except BaseException as signal:
            self._escaped.signal = signal
            raise

    def _let_through(self) -> None:
        signal: BaseException | None = self._escaped.__dict__.pop("signal", None)
        if signal is not None:
            raise signal


def _hides_swallowed(value: object) -> bool:
    """Whether a type that ormsgpack changes without asking stands where it packs by itself."""
    waiting: list[object] = [[value]]
    while waiting:
        item = waiting.pop()
        children: Iterable[object] = (
            cast("dict[str, object]", item).values() if type(item) is dict else cast("list[object]", item)
        )
        kinds = set(map(type, children))
        if not kinds.isdisjoint(_SWALLOWED):
            return True
        if not kinds.isdisjoint(_CONTAINERS):
            waiting.extend(child for child in children if type(child) in _CONTAINERS)
    return False
