"""Encryption of stored values: what a cipher promises, and AES-256-GCM with rotation of keys.

Here: sealing bytes. Not here: when values are sealed, and that plain ones are refused then (`envelope.py`).
`cryptography` is imported at the first use of `AesGcm`. Imports `errors`; `envelope.py` and users come in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from perdure.errors import EncodingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["AesGcm", "Cipher"]

_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Cipher(Protocol):
    """Seals bytes so that only a holder of the key reads them, and nobody changes or moves them unseen.

    Safe from any thread. `aad` is associated data: not stored, but what was sealed with it opens only with it.
    """

    @property
    def key_id(self) -> str:
        """Name of the key that seals now; no secret."""
        ...

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """The plain bytes, sealed under the present key; two calls give different bytes."""
        ...

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """What was sealed, by the present key or an older one.

        Raises:
            EncodingError: unknown key, other `aad`, or changed bytes.
        """
        ...


class AesGcm:
    """AES-256 in Galois/Counter Mode, a random 96-bit nonce a value.

    A value is stored as key id (8 bytes), nonce (12), ciphertext, tag (16). To rotate, give the new key and name the
    old one in `older_keys`: everything stays readable, what is written from now on has the new key. Change the key
    before 2**32 values are sealed with it (NIST SP 800-38D, section 8.3: random nonces).

    Args:
        key: 32 random bytes, or their base64 (standard or URL-safe) as text. No passphrases.
        older_keys: keys that only open.

    Raises:
        ValueError: a key is not 32 bytes.
        ImportError: `cryptography` is missing; `pip install "perdure[encryption]"` brings it.
    """

    def __init__(self, key: bytes | str, *, older_keys: Iterable[bytes | str] = ()) -> None:
        """Reads the keys; nothing of them appears in a repr or a message."""
        make = _primitive()
        present = _raw_key(key)
        self._present_id = _id_of(present)
        self._keys: dict[bytes, AESGCM] = {}
        for raw in (*map(_raw_key, older_keys), present):
            self._keys[_id_of(raw)] = make(raw)

    @property
    def key_id(self) -> str:
        """Name of the key that seals now: a digest in hex, which tells nothing about the key."""
        return self._present_id.hex()

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """The plain bytes, sealed under the present key."""
        nonce = os.urandom(_NONCE_BYTES)
        head = self._present_id + nonce
        return head + self._keys[self._present_id].encrypt(nonce, plain, self._present_id + aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """What was sealed with this `aad`, by the present key or an older one.

        Raises:
            EncodingError: unknown key, other `aad`, or changed bytes.
        """
        from cryptography.exceptions import InvalidTag  # only programs that encrypt pay for it

        if len(sealed) < _ID_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise EncodingError(f"An encrypted value is cut off: {len(sealed)} bytes are left.", path="value")
        key_id, nonce = sealed[:_ID_BYTES], sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        key = self._keys.get(key_id)
        if key is None:
            message = (
                f"A value was encrypted with key {key_id.hex()}, which this cipher does not have (it has "
                f"{', '.join(known.hex() for known in self._keys)}). Give the key as one of `older_keys`."
            )
            raise EncodingError(message, path="value")
        try:
            return key.decrypt(nonce, sealed[_ID_BYTES + _NONCE_BYTES :], key_id + aad)
        except InvalidTag as error:
            message = (
                f"A value encrypted with key {key_id.hex()} does not open: its bytes were changed, or it was moved "
                "here from another place."
            )
            raise EncodingError(message, path="value") from error

    def __repr__(self) -> str:
        return f"<AesGcm key {self.key_id}, {len(self._keys) - 1} older>"


def _primitive() -> type[AESGCM]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # an extra, paid for when used
    except ImportError as error:
        message = 'Encryption needs the package cryptography: pip install "perdure[encryption]".'
        raise ImportError(message, name="cryptography") from error
    return AESGCM


def _raw_key(key: bytes | str) -> bytes:
    raw = key if isinstance(key, bytes) else _from_base64(key)
    if len(raw) != _KEY_BYTES:
        raise ValueError(
            f"An encryption key is 32 random bytes, or their base64 as text; this one has {len(raw)} bytes."
        )
    return raw


def _from_base64(key: str) -> bytes:
    try:
        return base64.b64decode(key.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        # Without the cause: its message could show a part of the key.
        raise ValueError("An encryption key given as text must be the base64 of 32 random bytes.") from None


def _id_of(raw: bytes) -> bytes:
    return hashlib.sha256(b"perdure key id\x00" + raw).digest()[:_ID_BYTES]
