"""Metadata of threads as bytes: packed as they are, and sealed where the values are.

Values go through `Pieces` as a whole. Metadata are packed by whoever makes them, in the clear, so that no codec and no
serializer of a user's changes what a filter compares; only a cipher is asked to seal the packed bytes.
Here: that step, both ways. Not here: what metadata are (`checkpoint/rows.py`, `pregel/launch.py`).
"""

from __future__ import annotations

from typing import Final

from perdure.storage.chains import Pieces, aad
from perdure.storage.located import reading

__all__ = ["opened", "sealed", "seals"]

_SEALED: Final = b"\x12"  # what a codec's sealed values begin with; packed mappings never do


def seals(pieces: Pieces) -> bool:
    """Whether a cipher of ours is at work."""
    return getattr(pieces, "cipher", None) is not None


def sealed(pieces: Pieces, packed: bytes, thread: str, *place: object) -> bytes:
    """The packed bytes, sealed for this place if there is a cipher."""
    return pieces.encode(packed, path="metadata", aad=aad(thread, *place)) if seals(pieces) else packed


def opened(pieces: Pieces, stored: bytes, thread: str, *place: object) -> bytes:
    """What `sealed` was given.

    Raises:
        EncodingError: another key or place, or plain bytes where sealed ones are due.
    """
    if not seals(pieces) and not stored.startswith(_SEALED):
        return stored
    with reading(thread, None, None, " ".join(filter(None, map(str, place)))):
        return bytes(pieces.decode(stored, aad=aad(thread, *place)))
