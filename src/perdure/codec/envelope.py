"""`Codec`: a value's bytes with everything needed to read them again.

The first byte says format and treatment: `0x10` packed, `0x11` packed and compressed, `0x12` sealed; within the seal
stands one of the former. Compressed first, then sealed. Here: that byte, compression, the order of things. Not here:
the packing (`pack.py`), the types (`registry.py`), the cipher (`cipher.py`). What was ever written stays readable:
`tests/codec/golden` has bytes of every released format.
Imports `pack`, `registry`, `cipher`, `errors`; every layer above comes in.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, cast

from perdure.codec.cipher import Cipher
from perdure.codec.pack import Packer
from perdure.codec.registry import DEFAULT, Registry
from perdure.codec.slow import check_slowly
from perdure.errors import EncodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["FOREIGN", "Codec"]

_PLAIN = b"\x10"
_ZSTD = b"\x11"
_SEALED = b"\x12"
FOREIGN = b"\x20"
"""What values begin with that a user's serializer has written."""
_NONE = _PLAIN + b"\xc0"

_LEVEL = 3
_FLUSH = zstd.ZstdCompressor.FLUSH_FRAME
# Compressed data may claim this size, or this many times its own; a larger claim is a bomb. Values that would
# compress better than that are written uncompressed, so nothing that was written is refused.
_CLAIM_BYTES = 64 * 1024 * 1024
_CLAIM_RATIO = 1000


class Codec:
    """Values to bytes and back, the same value with the same types, or an error that says where.

    Plain Python values, dates, sets, paths, numbers of every size, numpy arrays come back as they were; dataclasses,
    pydantic models, enums and named tuples if the registry names them. Exceptions come back as `StoredError`. One
    object in two places comes back as two equal ones. Nothing found in data is imported or called. Safe from any
    thread.

    Args:
        registry: the types that may be built; `perdure.codec.DEFAULT` if not given.
        cipher: seals every value; plain ones are refused then.
        compress_from: bytes from which compression is tried.
    """

    __slots__ = ("_cipher", "_compress_from", "_packer", "_registry")

    def __init__(
        self, registry: Registry | None = None, *, cipher: Cipher | None = None, compress_from: int = 256
    ) -> None:
        """Keeps the arguments; nothing is read or imported."""
        self._registry = DEFAULT if registry is None else registry
        self._packer = Packer(self._registry)
        self._cipher = cipher
        self._compress_from = compress_from

    @property
    def registry(self) -> Registry:
        """The types that may be built."""
        return self._registry

    @property
    def cipher(self) -> Cipher | None:
        """What seals the values, if anything."""
        return self._cipher

    def encode(self, value: object, *, path: str = "value", aad: bytes = b"") -> bytes:
        """The value's bytes.

        Args:
            value: anything; see the class.
            path: what messages call it, e.g. `state.docs`.
            aad: with a cipher, the place these bytes belong to; they open only with the same.

        Raises:
            EncodingError: a part cannot be saved; the path names it.
        """
        if value is None and self._cipher is None:  # what most triggers of nodes are
            return _NONE
        packed = self._packer.pack(value, path)
        stored = _PLAIN + packed if len(packed) < self._compress_from else _compressed(packed)
        if self._cipher is None:
            return stored
        return _SEALED + self._cipher.seal(stored, aad)

    def decode(self, data: bytes | bytearray | memoryview, *, aad: bytes = b"") -> Any:
        """The value that was encoded.

        Args:
            data: what `encode` gave, by this version or an older one.
            aad: what `encode` was given.

        Raises:
            EncodingError: damaged bytes, a newer format, an unknown type, a wrong key or place, or a plain value where
                a cipher is due.
        """
        stored = data if type(data) is bytes else bytes(data)
        if self._cipher is not None:
            stored = _opened(stored, self._cipher, aad)
        if stored.startswith(_PLAIN):
            return self._packer.unpack(stored[1:])
        if stored.startswith(_ZSTD):
            return self._packer.unpack(_decompressed(stored[1:]))
        raise _unreadable(_of_mark(stored))

    def check(self, data: bytes, *, aad: bytes = b"") -> None:
        """Returns if these bytes are what `encode` gave, of whatever types: none is built, so none needs to be known.

        Raises:
            EncodingError: damaged bytes, a newer format, a wrong key or place, or a plain value where a cipher is due.
        """
        stored = self.unseal(data, aad=aad)
        if stored.startswith(_PLAIN):
            check_slowly(stored[1:])
        elif stored.startswith(_ZSTD):
            check_slowly(_decompressed(stored[1:]))
        else:
            raise _unreadable(_of_mark(stored))

    def unseal(self, data: bytes, *, aad: bytes = b"") -> bytes:
        """The bytes within the seal; the same bytes where there is no cipher. For moving values that nobody looks at.

        Raises:
            EncodingError: a wrong key or place, or a plain value where a cipher is due.
        """
        if self._cipher is not None:
            return _opened(data, self._cipher, aad)
        if data.startswith(_SEALED):
            raise _unreadable(_of_mark(data))
        return data

    def seal(self, stored: bytes, *, aad: bytes = b"") -> bytes:
        """What `unseal` gave, sealed for this place if there is a cipher.

        Raises:
            EncodingError: the bytes are no codec's, so that nobody could read them behind a seal.
        """
        if self._cipher is None:
            return stored
        if not stored.startswith((_PLAIN, _ZSTD)):
            raise _unreadable(_of_mark(stored))
        return _SEALED + self._cipher.seal(stored, aad)

    def __repr__(self) -> str:
        sealed = "no cipher" if self._cipher is None else f"key {self._cipher.key_id}"
        return f"<Codec {self._registry!r}, {sealed}>"


class _Compressors(threading.local):
    """One compressor a thread: making one costs five times what a small value does."""

    def __init__(self) -> None:
        self.compressor = zstd.ZstdCompressor(level=_LEVEL)


_compressors = _Compressors()


def _compressed(packed: bytes) -> bytes:
    try:
        frame = _compressors.compressor.compress(packed, _FLUSH)
    except BaseException:
        _compressors.__init__()  # it may hold half a value
        raise
    saves = len(frame) < len(packed) - (len(packed) >> 4)  # a sixteenth pays for the way back
    if saves and len(packed) <= max(_CLAIM_BYTES, _CLAIM_RATIO * len(frame)):
        return _ZSTD + frame
    return _PLAIN + packed


def _decompressed(frame: bytes) -> bytes:
    try:
        size = cast(
            "int | None", zstd.get_frame_info(frame).decompressed_size
        )  # None: the frame does not say
        if size is None or size > max(_CLAIM_BYTES, _CLAIM_RATIO * len(frame)):
            raise _unreadable(f"{len(frame)} compressed bytes claim to hold {size}")
        reader = zstd.ZstdDecompressor()
        packed = reader.decompress(frame, size + 1)
    except zstd.ZstdError as error:
        raise _unreadable("compressed bytes are damaged") from error
    if len(packed) != size or not reader.eof or reader.unused_data:
        raise _unreadable("compressed bytes are cut off or followed by others")
    return packed


def _of_mark(stored: bytes) -> str:
    if stored.startswith(_SEALED):
        return "the value is encrypted, and this codec has no cipher; give it the one it was written with"
    if stored.startswith(FOREIGN):
        return "it was written through a serializer of one's own (serde=), which this codec does not have"
    mark = stored[:1].hex() or "missing"
    return f"its first byte is {mark}; damaged, or written by a newer Perdure"


def _opened(stored: bytes, cipher: Cipher, aad: bytes) -> bytes:
    if not stored.startswith(_SEALED):
        raise _unreadable(
            f"the value is not encrypted, but this codec has a cipher (key {cipher.key_id}); it was written without "
            "one, or by somebody else"
        )
    try:
        return cipher.open(stored[1:], aad)
    except EncodingError:
        raise
    except Exception as error:  # a foreign cipher may raise anything
        raise _unreadable(f"the cipher failed: {type(error).__name__}") from error


def _unreadable(why: str) -> EncodingError:
    return EncodingError(f"Stored bytes cannot be read: {why}.", path="value")
