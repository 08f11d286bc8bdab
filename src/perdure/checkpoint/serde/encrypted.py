"""`EncryptedSerializer`: another serializer's bytes, encrypted.

For a new database prefer `perdure.connect(..., encryption=...)`: it binds every value to its place as well.
`Crypto` (pycryptodome) is imported when a cipher of it is made.
"""

from __future__ import annotations

import os
from typing import Any, Self

from perdure.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from perdure.checkpoint.serde.jsonplus import JsonPlusSerializer
from perdure.errors import EncodingError

__all__ = ["EncryptedSerializer"]

_NONCE = 16
_TAG = 16


class EncryptedSerializer:
    """A serializer whose bytes only a holder of the key can read; the format's name gets `+` and the cipher's name.

    A value that is stored in the clear is refused: where everything is encrypted, somebody else wrote it.

    Args:
        cipher: encrypts and decrypts.
        serde: gives the bytes; by default a `JsonPlusSerializer`.
    """

    def __init__(self, cipher: CipherProtocol, serde: SerializerProtocol | None = None) -> None:
        """With both."""
        self.cipher = cipher
        self.serde: SerializerProtocol = JsonPlusSerializer() if serde is None else serde

    @property
    def keeps_structure(self) -> bool:
        """Whether containers come back equal, as the inner serializer says."""
        return getattr(self.serde, "keeps_structure", False) is True

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The format's name with the cipher's, and the encrypted bytes."""
        kind, plain = self.serde.dumps_typed(obj)
        name, sealed = self.cipher.encrypt(plain)
        return f"{kind}+{name}", sealed

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value again.

        Raises:
            EncodingError: the value is stored in the clear.
            Exception: whatever the cipher raises when the key is another or the bytes were changed.
        """
        kind, sealed = data
        inner, plus, name = kind.partition("+")
        if not plus:
            raise EncodingError(
                f"A value of type {kind!r} is stored in the clear, but this serializer encrypts: somebody else wrote it, or it "
                "is older than the key. It is not read. Copy such data with its old serializer first.",
                path="value",
            )
        return self.serde.loads_typed((inner, self.cipher.decrypt(name, sealed)))

    @classmethod
    def from_pycryptodome_aes(cls, serde: SerializerProtocol | None = None, **kwargs: Any) -> Self:
        """With AES in EAX mode, which notices changed bytes.

        Args:
            serde: gives the bytes; by default a `JsonPlusSerializer`.
            **kwargs: `key` (16, 24 or 32 bytes; by default the environment's `LANGGRAPH_AES_KEY`); the rest goes to
                `Crypto.Cipher.AES.new`.

        Raises:
            ValueError: there is no key, or it has another length.
            ImportError: pycryptodome is missing; `pip install "perdure[encryption]"` brings it.
        """
        key: object = kwargs.pop("key", None)
        if key is None:
            text = os.environ.get("LANGGRAPH_AES_KEY")
            if text is None:
                raise ValueError("LANGGRAPH_AES_KEY environment variable is not set. Set it, or pass key=.")
            key = text.encode()
        if not isinstance(key, bytes) or len(key) not in (16, 24, 32):
            raise ValueError("An AES key must be 16, 24 or 32 bytes long (LANGGRAPH_AES_KEY, or key=).")
        return cls(_Aes(key, kwargs), serde)


class _Aes:
    """AES of pycryptodome; stored as nonce (16 bytes), tag (16), ciphertext."""

    def __init__(self, key: bytes, options: dict[str, Any]) -> None:
        try:
            from Crypto.Cipher import AES  # an extra, paid for when used
        except ImportError as error:
            message = 'from_pycryptodome_aes needs pycryptodome: pip install "perdure[encryption]".'
            raise ImportError(message, name="Crypto") from error
        self._new: Any = AES.new
        self._key = key
        self._options: dict[str, Any] = {"mode": AES.MODE_EAX, **options}

    def __repr__(self) -> str:
        return f"<AES-{len(self._key) * 8}>"

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        """`aes`, and nonce, tag and ciphertext."""
        cipher = self._new(self._key, **{**self._options, "nonce": os.urandom(_NONCE)})
        sealed, tag = cipher.encrypt_and_digest(plaintext)
        return "aes", cipher.nonce + tag + sealed

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        """What was encrypted; raises ValueError for another key or changed bytes."""
        if ciphername != "aes":
            raise ValueError(f"The value was encrypted by {ciphername!r}, and this serializer has AES.")
        nonce, tag, sealed = (
            ciphertext[:_NONCE],
            ciphertext[_NONCE : _NONCE + _TAG],
            ciphertext[_NONCE + _TAG :],
        )
        cipher = self._new(self._key, **{**self._options, "nonce": nonce})
        return cipher.decrypt_and_verify(sealed, tag)
