"""Ids as bytes whose order is the order of the texts; a canonical UUID takes 16 of them. Subtrees as ranges of bytes.

A text that is no canonical UUID stands behind the greatest UUID below it: 16 bytes of that UUID, then its own UTF-8. So
any two ids, of either sort, compare as bytes just as they do as `str`, and no byte is spent on a tag. Zero bytes
stand for "below all UUIDs", which makes the nil UUID an ordinary text (52 bytes).
Pure functions of this backend; nothing else imports them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from perdure.codec import bytes_to_text, prefix_range, text_to_bytes
from perdure.storage.contract import Namespace

NIL: Final = "00000000-0000-0000-0000-000000000000"

_canonical = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_BELOW_ALL = bytes(16)
_AFTER_ALL: Final = b"\xff"  # no UTF-8 begins with it
_DASHES = frozenset({8, 13, 18, 23})
_HEX = frozenset("0123456789abcdef")

# RFC 9562, 5.6: 60 bits of time in steps of 100 ns since 1582-10-15.
_GREGORIAN_TICKS = 0x01B21DD213814000


@lru_cache(maxsize=1024)  # an id comes as a new checkpoint, then as its successor's parent and expected head
def pack_id(text: str) -> bytes:
    """The id's bytes: 16 for a canonical UUID in lower case, 16 more than its UTF-8 for any other text."""
    if len(text) == 36 and _canonical(text):
        packed = bytes.fromhex(text.replace("-", ""))
        if packed != _BELOW_ALL:
            return packed
    return _uuid_below(text).to_bytes(16, "big") + text_to_bytes(text)


def unpack_id(packed: bytes) -> str:
    """The text that `pack_id` was given."""
    if len(packed) == 16 and packed != _BELOW_ALL:
        digits = packed.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return bytes_to_text(packed[16:])


def _uuid_below(text: str) -> int:
    """The greatest UUID whose canonical text is not greater than `text`; 0 if all are."""
    digits = ""
    for place, char in enumerate(text[:36]):
        if place in _DASHES:
            if char != "-":
                return _up_to(digits, above=char > "-")
        elif char in _HEX:
            digits += char
        elif char < "0":
            return _up_to(digits, above=False)
        elif char > "f":
            return _up_to(digits + "f", above=True)
        else:  # between "9" and "a"
            return _up_to(digits + "9", above=True)
    return _up_to(digits, above=len(text) >= 36)


def _up_to(digits: str, *, above: bool) -> int:
    """The last UUID that begins with these digits, or the one before the first of them."""
    if above:
        return int(digits.ljust(32, "f"), 16)
    return max(0, int(digits.ljust(32, "0"), 16) - 1)


def time_in(packed: bytes) -> int:
    """Microseconds since 1970 as a packed UUID of version 6 has them; 0 for any other id."""
    if len(packed) != 16 or packed[6] >> 4 != 6:
        return 0
    ticks = int.from_bytes(packed[:6], "big") << 12 | (packed[6] & 0x0F) << 8 | packed[7]
    return (ticks - _GREGORIAN_TICKS) // 10


def pack_task(text: str) -> bytes:
    """A task's id; the nil UUID, which stands for the run itself, is empty."""
    return b"" if text == NIL else pack_id(text)


def unpack_task(packed: bytes) -> str:
    """The text that `pack_task` was given."""
    return unpack_id(packed) if packed else NIL


def range_of(prefix: Namespace) -> tuple[bytes, bytes]:
    """The names of a subtree's namespaces, as a range."""
    first, end = prefix_range(prefix)
    return first, _AFTER_ALL if end is None else end
