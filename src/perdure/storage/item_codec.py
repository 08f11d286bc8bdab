"""An item's value as bytes: JSON text, or the same sealed.

Here: what a value may hold, its size and depth, sealing it to its place. Not here: what threads save (`codec`).
The text is compact UTF-8, lone surrogates passed, so that every `str` comes back equal; integers of any size do, too.
Tuples become lists. NaN and the infinities are refused: JSON has no word for them, and NaN would never equal itself.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from perdure.codec import Cipher, bytes_to_text, encode_namespace, text_to_bytes
from perdure.errors import EmbeddingError, EncodingError
from perdure.storage.contract import Embedded, Filed, Namespace
from perdure.store.base.paths import get_text_at_path

if TYPE_CHECKING:
    from perdure.storage.staging import Operation
    from perdure.storage.text.filer import Filer
    from perdure.storage.vectors.embedder import Embedder

log = logging.getLogger("perdure.storage")

__all__ = ["ITEM_BYTES", "ITEM_DEPTH", "ItemCodec"]

ITEM_BYTES: Final = 1024 * 1024
"""An item's value as JSON text has at most so many bytes (1 MiB)."""
ITEM_DEPTH: Final = 200
"""Lists and objects in a value are nested at most so deep."""

_SEALED: Final = b"\x01"  # no JSON text begins with it
_LEAVES: Final = frozenset({str, int, float, bool, type(None)})
_SCALARS: Final = (str, int, float)
_CONTAINERS: Final = (dict, list, tuple)
_dumps = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_loads = json.JSONDecoder().decode


class ItemCodec:
    """Values of items to bytes and back. Safe from any thread.

    Args:
        cipher: seals every value, bound to its namespace and key; plain values are refused then.
        loads: a user's own way from JSON text, as bytes, to the value.
        filer: how values are filed, for searches by words; None: they are not.
        embedder: what makes vectors of them, for searches by meaning; None: nothing does.
    """

    __slots__ = ("_loads", "cipher", "embedder", "filer")

    def __init__(
        self,
        cipher: Cipher | None = None,
        *,
        loads: Callable[[bytes], dict[str, Any]] | None = None,
        filer: Filer | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        """With a cipher, or without."""
        self.cipher = cipher
        self.embedder = embedder
        self.filer = filer
        self._loads = loads

    def __repr__(self) -> str:
        return (
            "<ItemCodec plain>"
            if self.cipher is None
            else f"<ItemCodec sealed with key {self.cipher.key_id}>"
        )

    @property
    def in_clear(self) -> bool:
        """Whether values are stored as the JSON text that they are read from."""
        return self.cipher is None and self._loads is None

    def encode(self, namespace: Namespace, key: str, value: Mapping[str, Any]) -> bytes:
        """The value's bytes, for this place.

        Raises:
            EncodingError: it is no JSON object, too large or too deep; `path` leads to the part.
        """
        plain = _encoded(value)
        if self.cipher is None:
            return plain
        return _SEALED + self.cipher.seal(plain, _aad(namespace, key))

    def decode(self, namespace: Namespace, key: str, stored: bytes) -> dict[str, Any]:
        """The value that was encoded for this place; a new object each time.

        Raises:
            EncodingError: the bytes are damaged, or sealed without our having a key, or plain though we have one.
        """
        if stored[:1] == _SEALED:
            if self.cipher is None:
                message = (
                    f"{key!r} in {namespace!r} is encrypted. Open the database with its key (encryption=...)."
                )
                raise EncodingError(message, path="value")
            try:
                stored = self.cipher.open(stored[1:], _aad(namespace, key))
            except EncodingError as error:
                raise EncodingError(
                    f"{key!r} in {namespace!r} cannot be read. {error}", path="value"
                ) from error
        elif self.cipher is not None:
            message = (
                f"{key!r} in {namespace!r} is stored in the clear, but this store is encrypted: somebody else wrote it, "
                "or it is older than the key. It is not read."
            )
            raise EncodingError(message, path="value")
        if self._loads is not None:
            return self._loads(stored)
        try:
            value: object = _loads(bytes_to_text(stored))
        except (ValueError, RecursionError) as error:
            raise EncodingError(f"{key!r} in {namespace!r} is damaged: {error}.", path="value") from error
        if type(value) is not dict:
            raise EncodingError(f"{key!r} in {namespace!r} is damaged: it is no JSON object.", path="value")
        return cast("dict[str, Any]", value)

    def filed(self, value: Mapping[str, Any], paths: tuple[str, ...] | None) -> Filed | None:
        """The value as searches by words find it; None: they do not."""
        return None if self.filer is None or paths == () else self.filer.filed(value, paths)

    def filed_of(self, operation: Operation) -> Filed | None:
        """What is staged, as it is filed: worked out at most once."""
        if operation.filed is None and operation.value is not None and self.filer is not None:
            value = self.decode(operation.namespace, operation.key, operation.value)
            operation.filed = self.filed(value, operation.paths)
        return operation.filed

    def to_embed(self, value: Mapping[str, Any], paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The texts of the value that are embedded; None: nothing is."""
        if self.embedder is None:
            return None
        fields = self.embedder.fields if paths is None else paths
        return tuple(text for path in fields for text in get_text_at_path(value, path))

    def lacking(self, operations: Iterable[Operation]) -> list[Operation]:
        """Those of the operations that are still to be embedded."""
        if self.embedder is None:
            return []
        return [op for op in operations if op.value is not None and op.embedded is None and op.paths != ()]

    def embed(self, operations: Sequence[Operation]) -> None:
        """Asks the model for the vectors of these.

        Raises:
            EmbeddingError: it failed, and the store does not put that off.
        """
        if self.embedder is not None and operations:
            texts = self._texts(operations)
            try:
                self._take(operations, texts, self.embedder.embed([text for some in texts for text in some]))
            except EmbeddingError as error:
                self._put_off(operations, error)

    async def aembed(self, operations: Sequence[Operation]) -> None:
        """As `embed`."""
        if self.embedder is not None and operations:
            texts = self._texts(operations)
            try:
                made = await self.embedder.aembed([text for some in texts for text in some])
                self._take(operations, texts, made)
            except EmbeddingError as error:
                self._put_off(operations, error)

    def _texts(self, operations: Sequence[Operation]) -> list[tuple[str, ...]]:
        for op in operations:
            if op.texts is None and op.value is not None:
                op.texts = self.to_embed(self.decode(op.namespace, op.key, op.value), op.paths)
        return [op.texts or () for op in operations]

    def _take(
        self, operations: Sequence[Operation], texts: list[tuple[str, ...]], vectors: list[bytes]
    ) -> None:
        assert self.embedder is not None  # noqa: S101 - the callers looked
        first = 0
        for op, some in zip(operations, texts, strict=True):
            op.embedded = Embedded(self.embedder.name, b"".join(vectors[first : first + len(some)]))
            first += len(some)

    def _put_off(self, operations: Sequence[Operation], error: EmbeddingError) -> None:
        if self.embedder is None or not self.embedder.defer:
            raise error
        log.warning(
            "%d items are written without vectors, as the model failed; store.reindex() embeds them later: %s",
            len(operations),
            error,
        )


def _aad(namespace: Namespace, key: str) -> bytes:
    return b"perdure item\x00" + encode_namespace((*namespace, key))


def _encoded(given: object) -> bytes:
    if type(given) is dict:
        value = cast("dict[object, object]", given)
    else:
        if not isinstance(given, Mapping):
            message = f"value is a {type(given).__name__}; an item holds a JSON object. Nothing was written. Pass a dict."
            raise EncodingError(message, path="value")
        value = dict(cast("Mapping[object, object]", given))
    if not _is_plain(value):
        _explain(value, [], set())  # most often it raises; kinds of str, int, dict ... and tuples are fine
    try:
        stored = text_to_bytes(_dumps(value))
    except ValueError as error:  # NaN, or an integer of very many digits
        _explain_number(value, "value", error)
        raise EncodingError(
            f"value cannot be written as JSON: {error}. Nothing was written.", path="value"
        ) from error
    except RecursionError as error:
        message = "value is nested too deep for the call it is written from. Nothing was written."
        raise EncodingError(message, path="value") from error
    if len(stored) > ITEM_BYTES:
        raise EncodingError(_too_large(f"{len(stored)} bytes"), path="value")
    return stored


def _is_plain(value: dict[object, object]) -> bool:
    """Whether there are only exact JSON types, not too deep. One pass, no recursion; says nothing about why not."""
    stack: list[tuple[object, int]] = [(value, 1)]
    weight = 0
    while stack:
        container, depth = stack.pop()
        if type(container) is dict:
            entries = cast("dict[object, object]", container)
            for key in entries:
                if type(key) is not str:
                    return False
            elements = entries.values()
        else:
            elements = cast("list[object]", container)
        weight += len(elements) + 1
        # Each element has a byte at least: a value that branches into itself ends here before it fills the memory.
        if weight > ITEM_BYTES:
            raise EncodingError(_too_large("more than a million parts"), path="value")
        if depth > ITEM_DEPTH:
            return False
        for element in elements:
            kind = type(element)
            if kind not in _LEAVES:
                if kind is not dict and kind is not list:
                    return False
                stack.append((element, depth + 1))
    return True


def _explain(value: object, steps: list[str | int], around: set[int], weight: int = 0) -> int:
    """Raises for the first part that cannot be saved; returns how many parts there are.

    `steps` lead to `value`, `around` are the ids of what it lies in.
    """
    weight += 1
    if weight > ITEM_BYTES:
        raise EncodingError(_too_large("more than a million parts"), path="value")
    if value is None or isinstance(value, _SCALARS):
        return weight
    if not isinstance(value, _CONTAINERS):
        path = _path(steps)
        message = (
            f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which JSON has no word for. Nothing was "
            "written. Items hold dicts, lists, strings, numbers, booleans and None."
        )
        raise EncodingError(message, path=path)
    if id(cast("object", value)) in around:
        path = _path(steps)
        raise EncodingError(f"{path} contains itself. Nothing was written.", path=path)
    if len(around) >= ITEM_DEPTH:
        path = _path(steps)
        message = f"{path[:80]}... is nested deeper than {ITEM_DEPTH} levels. Nothing was written."
        raise EncodingError(message, path=path)
    around.add(id(cast("object", value)))
    if isinstance(value, dict):
        for key, element in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                path = _path(steps)
                message = f"{path} has the key {key!r}, a {type(key).__name__}; keys of JSON are strings. Nothing was written."
                raise EncodingError(message, path=path)
            steps.append(key)
            weight = _explain(element, steps, around, weight)
            steps.pop()
    else:
        for place, element in enumerate(cast("list[object]", value)):
            steps.append(place)
            weight = _explain(element, steps, around, weight)
            steps.pop()
    around.remove(id(cast("object", value)))
    return weight


def _path(steps: list[str | int]) -> str:
    return "value" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _explain_number(value: object, path: str, cause: ValueError) -> None:
    """Raises for the number that the encoder did not take."""
    match value:
        case float():
            if not math.isfinite(value):
                message = f"{path} is {value!r}, which JSON has no word for. Nothing was written. Write None, or a string."
                raise EncodingError(message, path=path) from cause
        case int():
            try:
                str(int(value))
            except ValueError:
                message = f"{path} is an integer of too many digits (sys.set_int_max_str_digits). Nothing was written."
                raise EncodingError(message, path=path) from cause
        case dict():
            for key, element in cast("dict[str, object]", value).items():
                _explain_number(element, f"{path}.{key}", cause)
        case list() | tuple():
            for place, element in enumerate(cast("list[object]", value)):
                _explain_number(element, f"{path}[{place}]", cause)
        case _:
            pass


def _too_large(what: str) -> str:
    return f"value has {what}; an item's limit is {ITEM_BYTES} bytes of JSON. Nothing was written. Make it several items."
