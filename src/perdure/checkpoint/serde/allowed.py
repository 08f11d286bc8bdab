"""The registry of a serializer that reads what it does not know as plain values instead of refusing.

Types are learned by meeting their instances when writing, from the allow-list, and from `perdure.codec.register`; a name
in the data is looked up among those and never imported. So a type that this process has neither written nor been told of
comes back as its plain payload, whatever the allow-list says about names.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

from perdure.checkpoint.serde.event_hooks import SerdeEvent, emit_serde_event
from perdure.codec import DEFAULT, Registry, StoredError
from perdure.codec.kinds import BUILT_IN, OBJECT, PAIRS, Kind
from perdure.codec.own import register_own
from perdure.errors import EncodingError
from perdure.types import Send

__all__ = ["LenientRegistry", "name_of"]

_log = logging.getLogger("perdure.checkpoint.serde")
_lock = threading.Lock()
_told: set[tuple[str, str]] = set()

_TUPLE: Final = BUILT_IN[tuple].tag
_MEMBERS: Final = frozenset({BUILT_IN[set].tag, BUILT_IN[frozenset].tag})
_ERROR: Final = BUILT_IN[StoredError].tag


_PROCESS: Final = DEFAULT.child()
"""What this process has written through serializers."""


class LenientRegistry(Registry):
    """Builds types that are allowed; gives the plain payload of others. Tuples come back as lists, exceptions as text.

    Args:
        allowed: `(module, name)` of types that may be built besides those of the library; None: all that are known.
        types: classes among them, which are known from now on.
    """

    __slots__ = ("_allowed",)

    def __init__(self, allowed: frozenset[tuple[str, str]] | None, types: Iterable[type] = ()) -> None:
        """Knows the library's own types."""
        super().__init__()
        self._parent = _PROCESS
        self._allowed = allowed
        with _lock:
            if _PROCESS.kind_of(Send) is None:
                register_own(_PROCESS)
            _PROCESS.add_types(types)

    def kind_of(self, cls: type) -> Kind | None:
        """The kind of the class, which is entered if it says itself how it is saved."""
        kind = super().kind_of(cls)
        if kind is None:
            with _lock:
                _PROCESS.add_types([cls])
            kind = super().kind_of(cls)
        return kind

    def build(self, tag: int, plain: object) -> object:
        """The value, or its plain payload."""
        if type(plain) is list:
            parts = cast("list[Any]", plain)
            if tag == _TUPLE:
                return parts
            if tag == _ERROR and len(parts) == 2:
                return parts[1]  # its repr
            if tag == OBJECT and len(parts) > 1 and type(parts[0]) is str:
                return self._built(parts[0], parts)
            if tag == PAIRS:
                parts[::2] = map(_hashable, parts[::2])
            elif tag in _MEMBERS:
                parts[:] = map(_hashable, parts)
        return super().build(tag, cast("object", plain))

    def _built(self, label: str, parts: list[Any]) -> object:
        module, _, name = label.rpartition(":")
        own = module == "perdure"
        payload: object = parts[1]  # its fields, or its member's name, or its plain form
        if not own and self._allowed is not None and (module, name) not in self._allowed:
            _tell("msgpack_blocked", module, name)
            return payload
        try:
            built = super().build(OBJECT, parts)
        except EncodingError:
            _tell("msgpack_blocked", module, name)
            return payload
        if not own and self._allowed is None and DEFAULT.kind_of(type(built)) is None:
            _tell("msgpack_unregistered_allowed", module, name)
        return built


def name_of(given: object) -> tuple[str, str]:
    """`(module, name)` of a class, or of such a tuple.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(given, type):
        return given.__module__, given.__qualname__
    parts: list[object] = [*cast("tuple[object, ...]", given)] if isinstance(given, tuple | list) else []
    if len(parts) < 2 or not all(isinstance(part, str) for part in parts):
        raise TypeError(f"an allow-list holds classes and (module, name) tuples, not {given!r}")
    return ".".join(map(str, parts[:-1])), str(parts[-1])


def _hashable(value: object) -> object:
    return tuple(map(_hashable, cast("list[object]", value))) if type(value) is list else value


def _tell(kind: Literal["msgpack_unregistered_allowed", "msgpack_blocked"], module: str, name: str) -> None:
    emit_serde_event(SerdeEvent(kind=kind, module=module, name=name))
    with _lock:
        if (kind, f"{module}:{name}") in _told or len(_told) > 1000:  # data may hold any number of names
            return
        _told.add((kind, f"{module}:{name}"))
    if kind == "msgpack_blocked":
        _log.warning(
            "The data holds a %.200s:%.200s, which is not allowed or not known here; its plain payload was given. If it is "
            "yours, name it in allowed_msgpack_modules or call perdure.codec.register(cls).",
            module,
            name,
        )
    else:
        _log.warning(
            "A %.200s:%.200s was built, which nobody has registered. Name it in allowed_msgpack_modules, or call "
            "perdure.codec.register(cls): a later version will give its plain payload instead.",
            module,
            name,
        )
