"""`JsonPlusSerializer`: the field's serializer, over Perdure's codec.

Here: the formats' names, what is allowed to be built. Not here: the format itself (`codec`), the registry that gives
plain payloads (`allowed.py`). Nothing named in data is imported, nothing is unpickled.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import Any, Final, Literal, Self, cast

import ormsgpack

from perdure.checkpoint.serde.allowed import LenientRegistry, name_of
from perdure.codec import Codec
from perdure.errors import EncodingError

__all__ = ["InvalidModuleError", "JsonPlusSerializer"]

_log = logging.getLogger("perdure.checkpoint.serde")
_NEVER: Final = 1 << 62
_PLAIN: Final = b"\x10"  # a codec's mark of a packed, uncompressed value


class _Unset(Enum):
    UNSET = "unset"


_UNSET: Final = _Unset.UNSET

AllowedModules = Iterable["tuple[str, ...] | type"]


class InvalidModuleError(Exception):
    """A legacy JSON value names a class that is not allowed. Logged; the value comes back as a plain dict."""

    def __init__(self, message: str) -> None:
        """With the class's name in the message."""
        super().__init__(message)
        self.message = message


class JsonPlusSerializer:
    """Any value of Python's own types, dataclasses, pydantic models, enums, named tuples to bytes and back.

    Tuples come back as lists and exceptions as their `repr`. A type that may not be built, or that this process does not
    know, comes back as its plain payload (a dict, a list, a name) with one warning a process.

    Args:
        pickle_fallback: must be False: what was pickled could run code when it is read.
        allowed_json_modules: classes that legacy JSON may name; by `(module, ..., name)` tuples or True for all.
        allowed_msgpack_modules: True: any type that is known here, with a warning for those nobody registered; None: the
            library's own only; classes and `(module, name)` tuples: these as well. By default True, or None if the
            environment has `LANGGRAPH_STRICT_MSGPACK=true`.
        __unpack_ext_hook__: reads the extensions of the format itself, instead of all of the above.

    Raises:
        ValueError: `pickle_fallback` was True.

    Safe from any thread.
    """

    keeps_structure: Final = True
    """Dicts, lists and sets come back with equal keys and items, so changes to them can be stored as changes."""

    def __init__(
        self,
        *,
        pickle_fallback: bool = False,
        allowed_json_modules: Iterable[tuple[str, ...]] | Literal[True] | None = None,
        allowed_msgpack_modules: AllowedModules | Literal[True] | _Unset | None = _UNSET,
        __unpack_ext_hook__: Callable[[int, bytes], Any] | None = None,
    ) -> None:
        """Keeps the arguments; the environment is read here, once."""
        if pickle_fallback:
            raise ValueError(
                "pickle_fallback=True is not supported: reading a pickle can run any code. Register the type instead: "
                "perdure.codec.register(cls, encode=..., decode=...)."
            )
        if allowed_msgpack_modules is _UNSET:
            strict = os.environ.get("LANGGRAPH_STRICT_MSGPACK", "").lower() in ("1", "true", "yes")
            allowed_msgpack_modules = None if strict else True
        self.pickle_fallback: Final = False
        self._json = allowed_json_modules if allowed_json_modules in (True, None) else {*allowed_json_modules}
        self._hook = __unpack_ext_hook__
        self._any = allowed_msgpack_modules is True
        names: list[object] = [] if self._any else [*cast("AllowedModules", allowed_msgpack_modules or ())]
        self._take(names)

    def _take(self, names: list[object]) -> None:
        self._names = names
        allowed = None if self._any else frozenset(map(name_of, names))
        registry = LenientRegistry(allowed, [each for each in names if isinstance(each, type)])
        # A hook of the user's reads msgpack, which must not be compressed then.
        self._codec = Codec(registry) if self._hook is None else Codec(registry, compress_from=_NEVER)

    def __repr__(self) -> str:
        allowed = "any known type" if self._any else f"{len(self._names)} types"
        return f"<JsonPlusSerializer, {allowed} allowed>"

    def with_msgpack_allowlist(self, extra_allowlist: Collection[tuple[str, ...] | type]) -> Self:
        """A serializer that may also build these types."""
        made = copy.copy(self)
        made._take([*self._names, *extra_allowlist])
        return made

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The format's name (`null`, `bytes`, `bytearray`, `msgpack`) and the value's bytes.

        Raises:
            TypeError: a part cannot be saved; the message names its path.
        """
        if obj is None:
            return "null", b""
        if type(obj) is bytes:
            return "bytes", obj
        if type(obj) is bytearray:
            return "bytearray", bytes(obj)
        return "msgpack", self.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value again.

        Raises:
            NotImplementedError: the format is not known, or is `pickle`.
            EncodingError: the bytes are damaged.
        """
        kind, content = data
        match kind:
            case "null":
                return None
            case "bytes":
                return content
            case "bytearray":
                return bytearray(content)
            case "msgpack":
                return self._unpacked(content)
            case "json":
                return self.loads(content)
            case "pickle":
                raise NotImplementedError("Pickled data is not read: it could run any code.")
            case _:
                raise NotImplementedError(f"Unknown serialization type: {kind}")

    def dumps(self, obj: Any) -> bytes:
        """The value's bytes in the format `msgpack`.

        Raises:
            TypeError: a part cannot be saved; the message names its path.
        """
        try:
            return self._codec.encode(obj)
        except EncodingError as error:
            raise TypeError(str(error)) from error

    def loads(self, data: bytes) -> Any:
        """The value of legacy JSON, or of what `dumps` gave."""
        if data[:1] in (b"\x10", b"\x11"):
            return self._unpacked(data)
        try:
            return json.loads(data, object_hook=self._revived)
        except (ValueError, RecursionError) as error:
            raise EncodingError(f"Stored JSON cannot be read: {error}.", path="value") from error

    def _unpacked(self, data: bytes) -> Any:
        if self._hook is None or not data.startswith(_PLAIN):
            return self._codec.decode(data)
        try:
            return ormsgpack.unpackb(data[1:], ext_hook=self._hook, option=ormsgpack.OPT_NON_STR_KEYS)
        except ValueError as error:
            raise EncodingError(f"Stored bytes cannot be read: {error}.", path="value") from error

    def _revived(self, found: dict[str, Any]) -> Any:
        """Legacy JSON told which class to call, and with what. Nothing is called: it stays what it is."""
        if found.get("lc") == 2 and found.get("type") == "constructor" and isinstance(found.get("id"), list):
            path = tuple(map(str, found["id"]))
            if self._json is not True and path not in (self._json or ()):
                error = InvalidModuleError(f"{'.'.join(path)[:200]} is not in allowed_json_modules")
                _log.warning("legacy JSON: %s; its plain payload was given", error.message)
            return found.get("kwargs") or found.get("args") or found
        return found
