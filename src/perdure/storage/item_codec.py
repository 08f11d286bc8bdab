"""An item's value as bytes: JSON text, with the version of its contract behind it if it has one, or the same sealed.

Here: sealing a value to its place, what readers get of it, how it is filed and embedded. Not here: JSON (`item_json.py`),
what a contract says (`contracts/`), what threads save (`codec`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.scanner import make_scanner
from typing import TYPE_CHECKING, Any, Final, cast

from perdure.codec import Cipher, bytes_to_text, encode_namespace
from perdure.errors import EmbeddingError, EncodingError, QueryError
from perdure.storage.contract import OWED, Embedded, Filed, Namespace
from perdure.storage.contracts.marks import marked, taken_apart
from perdure.storage.item_json import json_of
from perdure.store.base.paths import get_text_at_path

if TYPE_CHECKING:
    from perdure.storage.contracts.book import Contracts
    from perdure.storage.staging import Operation
    from perdure.storage.text.filer import Filer
    from perdure.storage.vectors.embedder import Embedder

log = logging.getLogger("perdure.storage")

__all__ = ["ItemCodec"]

_SEALED: Final = b"\x01"  # no JSON text begins with it
_decode = json.JSONDecoder().decode
_scan = make_scanner(json.JSONDecoder())  # pyright: ignore[reportArgumentType] - it reads a decoder's settings


class ItemCodec:
    """Values of items to bytes and back. Safe from any thread.

    Args:
        cipher: seals every value, bound to its namespace and key; plain values are refused then.
        loads: a user's own way from JSON text, as bytes, to the value.
        filer: how values are filed, for searches by words; None: they are not.
        embedder: what makes vectors of them, for searches by meaning; None: nothing does.
        contracts: what values must look like, and how older ones are brought up to date; None: as they like.
        shown: with a cipher: the only paths whose texts may be filed and embedded.
    """

    __slots__ = ("_loads", "_shown", "cipher", "contracts", "embedder", "filer")

    def __init__(
        self,
        cipher: Cipher | None = None,
        *,
        loads: Callable[[bytes], dict[str, Any]] | None = None,
        filer: Filer | None = None,
        embedder: Embedder | None = None,
        contracts: Contracts | None = None,
        shown: Sequence[str] | None = None,
    ) -> None:
        """With a cipher, or without."""
        self._shown = None if shown is None else frozenset(shown)
        self.cipher = cipher
        self.contracts = contracts
        self.embedder = embedder
        self.filer = filer
        self._loads = loads

    def __repr__(self) -> str:
        return (
            "<ItemCodec plain>"
            if self.cipher is None
            else f"<ItemCodec sealed with key {self.cipher.key_id}>"
        )

    def in_clear(self, prefix: Namespace) -> bool:
        """Whether values of the subtree are stored as the JSON text that they are read from: no filter finds another one."""
        if self.cipher is not None or self._loads is not None:
            return False
        return self.contracts is None or not self.contracts.migrate_below(prefix)

    def encode(self, namespace: Namespace, key: str, value: Mapping[str, Any]) -> bytes:
        """The value's bytes, for this place.

        Raises:
            EncodingError: it is no JSON object, too large or too deep; `path` leads to the part.
            ContractError: it is not what its contract says. An `EncodingError`.
        """
        plain = json_of(value)
        if self.contracts is not None:
            plain = self.contracts.signed(namespace, key, value, plain)
        return self.seal(namespace, key, plain)

    def encode_as(self, namespace: Namespace, key: str, value: Mapping[str, Any], version: int) -> bytes:
        """The value's bytes, as written under that version of a contract (0: of none), whatever contracts say now.

        Raises:
            EncodingError: as `encode`.
        """
        return self.seal(namespace, key, marked(version, json_of(value)))

    def decode(self, namespace: Namespace, key: str, stored: bytes) -> dict[str, Any]:
        """The value that was encoded for this place, as its contract has it now; a new object each time.

        Raises:
            EncodingError: the bytes are damaged, or sealed without our having a key, or plain though we have one.
            ContractError: it was written under another version of its contract and cannot be brought to this one.
        """
        if self.contracts is None:
            if self.cipher is not None or stored.startswith(_SEALED):
                stored = self.unseal(namespace, key, stored)
            return self._loaded(namespace, key, stored)
        value, version = self.written(namespace, key, stored)
        return self.contracts.current(namespace, key, value, version)

    def decode_if(
        self, namespace: Namespace, key: str, stored: bytes, fits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any] | None:
        """As `decode`; None: the value does not meet the filter.

        A filter says which items are read. Where nothing would make another value of what is stored, one that does not meet
        it is none of the reader's, whatever its contract says: so databases may leave it out unread.

        Raises:
            EncodingError, ContractError: as `decode`, for a value that meets the filter or has to be brought up to date first.
        """
        if self.contracts is None or self.contracts.migrates(namespace):
            value = self.decode(namespace, key, stored)
            return value if fits(value) else None
        value, version = self.written(namespace, key, stored)
        return self.contracts.current(namespace, key, value, version) if fits(value) else None

    def written(self, namespace: Namespace, key: str, stored: bytes) -> tuple[dict[str, Any], int]:
        """The value as it was written, and the version of the contract that it was written under; 0: of none.

        Raises:
            EncodingError: as `decode`.
        """
        try:
            version, plain = taken_apart(self.unseal(namespace, key, stored))
        except ValueError as error:
            raise EncodingError(f"{key!r} in {namespace!r} is damaged: {error}.", path="value") from error
        return self._loaded(namespace, key, plain), version

    def seal(self, namespace: Namespace, key: str, plain: bytes) -> bytes:
        """What `unseal` gave, for this place, sealed if there is a cipher."""
        return plain if self.cipher is None else _SEALED + self.cipher.seal(plain, _aad(namespace, key))

    def unseal(self, namespace: Namespace, key: str, stored: bytes) -> bytes:
        """The bytes within the seal; the same bytes where there is no cipher. For moving values that nobody looks at.

        Raises:
            EncodingError: a wrong key or place, sealed without our having a key, or plain though we have one.
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
        return stored

    def _loaded(self, namespace: Namespace, key: str, plain: bytes) -> dict[str, Any]:
        if self._loads is not None:
            return self._loads(plain)
        try:
            value = _parsed(bytes_to_text(plain))
        except (ValueError, RecursionError) as error:
            raise EncodingError(f"{key!r} in {namespace!r} is damaged: {error}.", path="value") from error
        if type(value) is not dict:
            raise EncodingError(f"{key!r} in {namespace!r} is damaged: it is no JSON object.", path="value")
        return cast("dict[str, Any]", value)

    def check_paths(self, paths: tuple[str, ...]) -> None:
        """Passes what a put may say is to be found.

        Raises:
            QueryError: it is none of the paths of an encrypted database that may be found.
        """
        for path in paths:
            if self._shown is not None and path not in self._shown:
                raise QueryError(
                    f"index={list(paths)!r}: the database is encrypted, and only {sorted(self._shown)!r} may be found. Nothing"
                    f" was written. Leave {path!r} out, or open the database with plaintext=[...] that names it.",
                    part="index",
                )

    def filed(self, value: Mapping[str, Any], paths: tuple[str, ...] | None) -> Filed | None:
        """The value as searches by words find it; None: they do not."""
        return None if self.filer is None or paths == () else self.filer.filed(value, paths)

    def filed_of(self, operation: Operation) -> Filed | None:
        """What is staged, as it is filed: worked out at most once."""
        if operation.filed is None and operation.value is not None and self.filer is not None:
            value, _ = self.written(operation.namespace, operation.key, operation.value)
            operation.filed = self.filed(value, operation.paths)
        return operation.filed

    def to_embed(self, value: Mapping[str, Any], paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The texts of the value that are embedded; None: nothing is."""
        if self.embedder is None:
            return None
        fields = self.embedder.fields if paths is None else paths
        if self._shown is not None:
            fields = [path for path in fields if path in self._shown]
        return tuple(text for path in fields for text in get_text_at_path(value, path))

    def lacking(self, operations: Iterable[Operation]) -> list[Operation]:
        """Those of the operations that are still to be embedded."""
        if self.embedder is None:
            return []
        return [op for op in operations if op.value is not None and not op.embedded_now and op.paths != ()]

    def embed(self, operations: Sequence[Operation]) -> None:
        """Asks the model for the vectors of these.

        Raises:
            EmbeddingError: it failed, and the store does not put that off.
        """
        try:
            self.embed_now(operations)
        except EmbeddingError as error:
            self._put_off(operations, error)

    def embed_now(self, operations: Sequence[Operation]) -> None:
        """As `embed`, and a model that fails is an error in any case."""
        if self.embedder is not None and operations:
            texts = self._texts(operations)
            self._take(operations, texts, self.embedder.embed([text for some in texts for text in some]))

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
                op.texts = self.to_embed(self.written(op.namespace, op.key, op.value)[0], op.paths)
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
        for op in operations:
            op.embedded = OWED if op.texts else Embedded(self.embedder.name, b"")
        log.warning(
            "%d items are written without vectors, as the model failed; they are embedded later: %s",
            len(operations),
            error.__cause__ or error,
        )


def _parsed(text: str) -> object:
    """The text's JSON. Ours has no blanks around it: `decode` looks for them with two patterns, which costs as much again."""
    try:
        value, end = _scan(text, 0)
    except (StopIteration, ValueError):
        return _decode(text)  # blanks, or an error that says where
    return value if end == len(text) else _decode(text)


def _aad(namespace: Namespace, key: str) -> bytes:
    return b"perdure item\x00" + encode_namespace((*namespace, key))
