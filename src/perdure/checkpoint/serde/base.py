"""What a serializer and a cipher promise to a saver. Imports nothing of Perdure."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

__all__ = [
    "CipherProtocol",
    "SerializerCompat",
    "SerializerProtocol",
    "UntypedSerializerProtocol",
    "maybe_add_typed_methods",
]

S = TypeVar("S", bound="SerializerProtocol")


class UntypedSerializerProtocol(Protocol):
    """Values to bytes and back, without a word about what kind of bytes these are."""

    def dumps(self, obj: Any) -> bytes:
        """The value's bytes."""
        ...

    def loads(self, data: bytes) -> Any:
        """The value again."""
        ...


@runtime_checkable
class SerializerProtocol(Protocol):
    """Values to bytes with the name of their format, and back. Safe from any thread."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The format's name, and the value's bytes in it."""
        ...

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value again."""
        ...


class CipherProtocol(Protocol):
    """Encryption of bytes, for `EncryptedSerializer`; `perdure.codec.Cipher` also binds a value to its place."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """The cipher's name, and the encrypted bytes."""
        ...

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """What was encrypted by the cipher of this name."""
        ...


class SerializerCompat:
    """A serializer with untyped methods in the shape of a typed one; the format is called after its class."""

    def __init__(self, serde: UntypedSerializerProtocol) -> None:
        """Around `serde`."""
        self.serde = serde

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The class's name, and the value's bytes."""
        return type(self.serde).__name__, self.serde.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value again, whatever the name."""
        return self.serde.loads(data[1])


def maybe_add_typed_methods(serde: SerializerProtocol | UntypedSerializerProtocol) -> SerializerProtocol:
    """The serializer, wrapped if it has untyped methods only."""
    return serde if isinstance(serde, SerializerProtocol) else SerializerCompat(serde)
