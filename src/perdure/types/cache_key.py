"""A key for any input of a node: equal inputs have equal keys, in every process and every run.

A digest over the value's structure. Nothing is decoded from it, and nothing of the value is run but what
`copy.copy` would run (`__reduce_ex__`). Imports nothing of Perdure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

__all__ = ["default_cache_key"]


def default_cache_key(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - whatever a node takes
    """The key of a node's input: 32 hex digits.

    Dicts and sets count whatever their order; `1`, `True` and `1.0` are different.

    Raises:
        TypeError: the input holds something without a lasting identity (a lock, a lambda); give `key_func`.
    """
    return _digest(b"call", (_key(args, ()), _key(kwargs, ()))).hex()


def _digest(kind: bytes, parts: Iterable[bytes]) -> bytes:
    found = hashlib.blake2b(digest_size=16, person=kind[:16])
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


def _type_name(kind: type) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__}".encode("utf-8", "surrogatepass")


def _key(value: object, above: tuple[int, ...]) -> bytes:
    """The digest of one value; `above` are the identities of the containers around it."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex):
        return _digest(b"scalar", (_type_name(kind), repr(value).encode()))
    if kind is str:
        return _digest(b"str", (cast("str", value).encode("utf-8", "surrogatepass"),))
    if kind in (bytes, bytearray):
        return _digest(b"bytes", (bytes(cast("bytes", value)),))
    if id(value) in above:
        return _digest(b"again", (str(len(above) - above.index(id(value))).encode(),))
    inside = (*above, id(value))
    if kind in (list, tuple):
        return _digest(kind.__name__.encode(), [_key(item, inside) for item in cast("list[object]", value)])
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return _digest(
            b"map", (_type_name(kind), *sorted(_key(k, inside) + _key(v, inside) for k, v in pairs))
        )
    if isinstance(value, (set, frozenset)):
        return _digest(b"set", sorted(_key(item, inside) for item in cast("set[object]", value)))
    return _key_of_object(value, inside)


def _key_of_object(value: object, inside: tuple[int, ...]) -> bytes:
    if isinstance(value, Enum):
        return _digest(b"enum", (_type_name(type(value)), value.name.encode()))
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return _digest(b"name", (_lasting_name(value),))
    try:
        reduced = value.__reduce_ex__(4)
    except TypeError as error:
        raise TypeError(
            f"no cache key for a {type(value).__name__}: {error}. Give the CachePolicy a key_func."
        ) from error
    if isinstance(reduced, str):
        return _digest(b"global", (_type_name(type(value)), reduced.encode()))
    make, args, *more = cast("tuple[Callable[..., object], tuple[object, ...], object]", reduced)
    parts = [_key(args, inside)]
    for part in more[:1]:
        parts.append(_key(part, inside))  # the state: usually `__dict__`
    for items in more[1:3]:  # items of a list or dict subclass
        parts.append(_key(None if items is None else list(cast("Iterable[object]", items)), inside))
    return _digest(b"object", (_type_name(type(value)), _lasting_name(make), *parts))


def _lasting_name(thing: Callable[..., object] | type) -> bytes:
    name: str = getattr(thing, "__qualname__", repr(thing))
    if "<locals>" in name or "<lambda>" in name:
        raise TypeError(f"no cache key for {name}: it has no lasting name. Give the CachePolicy a key_func.")
    return f"{getattr(thing, '__module__', '')}.{name}".encode("utf-8", "surrogatepass")
