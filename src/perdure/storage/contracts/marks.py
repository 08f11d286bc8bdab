"""The version of the contract that an item was written under: some bytes in front of its JSON text.

They are part of the stored value, so they go where it goes: into history, records, copies, and under the seal of a cipher.
What was written under no contract has none of them. Pure.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST", "marked", "taken_apart"]

MOST: Final = (1 << 31) - 1
"""The greatest version of a contract."""

_MARK: Final = 3  # no JSON text begins with it, nor what a cipher made


def marked(version: int, text: bytes) -> bytes:
    """The text with the version in front: a byte, then seven bits of it a byte, the lowest first. 0: the text alone.

    Raises:
        ValueError: no contract has this version.
    """
    if not version:
        return text
    if not 0 < version <= MOST:
        raise ValueError(f"{version} is the version of no contract")
    front = [_MARK]
    while version >= 0x80:
        front.append(version & 0x7F | 0x80)
        version >>= 7
    front.append(version)
    return bytes(front) + text


def taken_apart(stored: bytes) -> tuple[int, bytes]:
    """The version and the text. Raises ValueError for bytes that `marked` does not make."""
    if not stored or stored[0] != _MARK:
        return 0, stored
    version = 0
    for place, byte in enumerate(stored[1:6]):
        version |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if not 0 < version <= MOST or (place and not byte):
                break
            return version, stored[2 + place :]
    raise ValueError("the version of its contract cannot be read")
