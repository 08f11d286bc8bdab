"""The version of the contract that an item was written under: white space behind its JSON text.

So what is stored is still JSON, for every reader, every database and every index on it. The mark is part of the stored value, so it
goes where that goes: into history, records, copies, and under the seal of a cipher. What was written under no contract has
none. Pure.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST", "marked", "taken_apart"]

MOST: Final = (1 << 31) - 1
"""The greatest version of a contract."""

_DIGITS: Final = (
    b" \t\n\r"  # what JSON takes for white space: 0, 1, 2, 3, the highest first; never a zero in front
)


def marked(version: int, text: bytes) -> bytes:
    """The text with the version behind it, to the base of four. 0: the text alone.

    Raises:
        ValueError: no contract has this version.
    """
    if not version:
        return text
    if not 0 < version <= MOST:
        raise ValueError(f"{version} is the version of no contract")
    mark = b""
    while version:
        mark = _DIGITS[version & 3 : (version & 3) + 1] + mark
        version >>= 2
    return text + mark


def taken_apart(stored: bytes) -> tuple[int, bytes]:
    """The version and the text. Raises ValueError for white space that `marked` does not make."""
    text = stored.rstrip(_DIGITS)
    mark = stored[len(text) :]
    version = 0
    for byte in mark[:17]:
        version = version << 2 | _DIGITS.index(byte)
    if version > MOST or len(mark) > 16 or mark[:1] == b" ":
        raise ValueError("the version of its contract cannot be read")
    return version, text
