"""The checked way to the same bytes: no recursion, and for every failure the path to it.

Here: what ormsgpack refuses but the format can hold (surrogates, any keys, depth), and who says what it cannot. Also
the way back for extensions nested deeper than C and Python should call each other. Both walk with a stack of their
own, so neither a cycle nor hostile bytes end in a RecursionError.
Imports `registry`, `kinds`, `refusal`, `errors`; only `pack.py` comes in.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from ormsgpack import Ext, packb, unpackb

from perdure.codec.kinds import PAIRS, Kind
from perdure.codec.refusal import damaged, deeper_than, in_itself, key_segment, missing, refused, unwritable
from perdure.codec.registry import Registry
from perdure.errors import EncodingError

__all__ = ["DEPTH", "pack_slowly", "unpack_slowly"]

DEPTH = 500
"""How deep containers may stand in containers; deeper is taken for a mistake."""

_QUICK_DEPTH = 255  # what ormsgpack packs by itself
_STORED_LEVELS = (
    600  # extensions in extensions; more than any packed value has, few enough for hash() of such tuples
)

_SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})
_Child = tuple[object, str]  # and its part of the path
_Close = Callable[[list[bytes]], bytes]
_Quick = Callable[[object], bytes | None]


@dataclass(slots=True, eq=False)
class _Open:
    """A container whose children are being packed."""

    value: object  # kept alive, because its id marks a cycle
    segment: str
    children: Iterator[_Child]
    close: _Close
    depth: int
    formal: bool = False  # lists and dicts right inside belong to the format: no depth of their own
    layered: bool = False  # a list right inside is formal, too, and has no place in paths
    parts: list[bytes] = field(default_factory=list[bytes])


def pack_slowly(
    value: object, path: str, registry: Registry, quickly: Callable[[object], bytes | None]
) -> bytes:
    """The value's bytes, or an error that says what cannot be saved, and where.

    Args:
        value: anything.
        path: what to call it in messages.
        registry: the types that can be saved.
        quickly: packs a part the fast way, or gives `None`.

    Raises:
        EncodingError: a part cannot be saved; nothing was written.
    """
    root = _Open(None, path, iter([(value, "")]), b"".join, depth=0)
    stack = [root]
    inside: set[int] = set()
    while True:
        parent = stack[-1]
        child = next(parent.children, None)
        if child is None:
            stack.pop()
            inside.discard(id(parent.value))
            packed = parent.close(parent.parts)
            if not stack:
                return packed
            stack[-1].parts.append(packed)
            continue

        part, segment = child
        may_be_quick = parent is not root and parent.depth <= DEPTH - _QUICK_DEPTH
        if may_be_quick or type(part) in _SCALARS:
            packed = quickly(part)
            if packed is not None:
                parent.parts.append(packed)
                continue

        here = "".join(container.segment for container in stack) + segment
        if id(part) in inside:
            raise in_itself(part, here)
        container = _opened(part, segment, here, parent, registry, quickly)
        if container.depth > DEPTH and type(part) not in _SCALARS:
            raise deeper_than(DEPTH, here)
        inside.add(id(part))
        stack.append(container)


def _opened(
    value: object, segment: str, here: str, parent: _Open, registry: Registry, quickly: _Quick
) -> _Open:
    cls = type(value)
    if cls is list:
        return _opened_list(cast("list[object]", value), segment, parent)
    if cls is dict:
        return _opened_dict(cast("dict[Any, object]", value), segment, parent, quickly)
    kind = registry.kind_of(cls)
    if kind is None:
        raise refused(value, here)
    child: _Child = (_plain(kind, value, here), "")

    def close(parts: list[bytes]) -> bytes:
        return _extension(kind.tag, parts[0])

    return _Open(value, segment, iter([child]), close, parent.depth + 1, formal=True, layered=kind.layered)


def _opened_list(items: list[object], segment: str, parent: _Open) -> _Open:
    if parent.layered:
        return _Open(items, segment, zip(items, itertools.repeat("")), _array, parent.depth, formal=True)
    children = ((item, f"[{place}]") for place, item in enumerate(items))
    return _Open(items, segment, children, _array, parent.depth + (not parent.formal))


def _opened_dict(mapping: dict[Any, object], segment: str, parent: _Open, quickly: _Quick) -> _Open:
    depth = parent.depth + (not parent.formal)
    entries = list(mapping.items())
    keys = _text_keys(entries)
    if keys is None:
        flat = list(itertools.chain.from_iterable(entries))
        packed = quickly(flat) if depth <= DEPTH - _QUICK_DEPTH else None
        if packed is not None:  # most dicts with other keys hold nothing else that is odd
            return _Open(mapping, segment, iter(()), lambda _: _extension(PAIRS, packed), depth)
        return _Open(mapping, segment, _pairs(entries), lambda parts: _extension(PAIRS, _array(parts)), depth)
    children = ((item, key_segment(key)) for key, item in entries)
    return _Open(mapping, segment, children, lambda parts: _map(keys, parts), depth)


def _plain(kind: Kind, value: object, here: str) -> object:
    try:
        return kind.encode(value)
    except Exception as error:  # a user's function may raise anything
        raise unwritable(value, here, error) from error


def _pairs(entries: list[tuple[Any, object]]) -> Iterator[_Child]:
    for key, item in entries:
        segment = key_segment(key)
        yield key, f"{segment}(key)"
        yield item, segment


def _text_keys(entries: list[tuple[Any, object]]) -> list[bytes] | None:
    """The keys packed, if msgpack's own map can hold them: all text, no surrogates."""
    if not all(type(key) is str for key, _ in entries):
        return None
    try:
        return [packb(key) for key, _ in entries]
    except TypeError:
        return None


def _array(parts: list[bytes]) -> bytes:
    return _head(len(parts), 0x90, 0xDC) + b"".join(parts)


def _map(keys: list[bytes], parts: list[bytes]) -> bytes:
    return _head(len(parts), 0x80, 0xDE) + b"".join(
        itertools.chain.from_iterable(zip(keys, parts, strict=True))
    )


def _head(size: int, small: int, wide: int) -> bytes:
    # msgpack: up to 15 in the first byte, then 16 bits, then 32.
    if size < 16:
        return bytes((small | size,))
    return struct.pack(">BH", wide, size) if size < 1 << 16 else struct.pack(">BI", wide + 1, size)


def _extension(tag: int, packed: bytes) -> bytes:
    return packb(Ext(tag, packed))


class _Hole:
    """An extension that is not built yet."""

    __slots__ = ("packed", "plain", "tag")

    def __init__(self, tag: int, packed: bytes) -> None:
        self.tag = tag
        self.packed = packed
        self.plain: list[Any] = []


def unpack_slowly(packed: bytes, registry: Registry) -> Any:
    """The value of these bytes: first everything is parsed, then extensions are built from the innermost out.

    Raises:
        EncodingError: damaged bytes, or a type that the registry does not have.
    """
    root, holes = _taken_apart(packed)
    for container, place, hole in reversed(holes):
        container[place] = _built(hole, registry)
    return root[0]


def check_slowly(packed: bytes) -> None:
    """Returns if these bytes are whole, whatever their types are: nothing is built.

    Raises:
        EncodingError: damaged bytes.
    """
    _taken_apart(packed)


def _taken_apart(packed: bytes) -> tuple[list[Any], list[tuple[Any, Any, _Hole]]]:
    """The value in a list, and its extensions: (container, place, what stands there), outer before inner."""
    root: list[Any] = [_parsed(packed)]
    holes: list[tuple[Any, Any, _Hole]] = []
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        container, level = waiting.pop()
        if level > _STORED_LEVELS:
            raise damaged("the data", f"it nests more than {_STORED_LEVELS} values")
        for place, item in _places(container):
            if type(item) is _Hole:
                holes.append((container, place, item))
                item.plain.append(_parsed(item.packed))
                item.packed = b""
                waiting.append((item.plain, level + 1))
            elif type(item) in (list, dict):
                waiting.append((item, level))
    return root, holes


def _places(container: Any) -> Iterable[tuple[Any, Any]]:
    return cast(
        "Iterable[tuple[Any, Any]]",
        container.items() if isinstance(container, dict) else enumerate(container),
    )


def _parsed(packed: bytes) -> object:
    try:
        return unpackb(packed, ext_hook=_Hole)
    except ValueError as error:
        raise damaged("the data", str(error)) from error


def _built(hole: _Hole, registry: Registry) -> object:
    try:
        return registry.build(hole.tag, hole.plain[0])
    except EncodingError:
        raise
    except Exception as error:  # data may be anything, and so may what a user's `decode` raises of it
        what = registry.label_of(hole.tag, hole.plain[0])
        if isinstance(error, ModuleNotFoundError):
            raise missing(what, str(error.name)) from error
        raise damaged(what, f"{type(error).__name__}") from error
