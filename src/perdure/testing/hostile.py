"""Names, strings and payloads that broke somebody's store. Plain lists: no test library is needed to use them.

Every text here is a legal Python `str`; `THREAD_IDS` are those a database must hold, `BAD_THREAD_IDS` those it must refuse.
"""

from __future__ import annotations

from typing import Final

STRINGS: Final[tuple[str, ...]] = (
    "",
    " ",
    "\0",
    "a\0b",
    "\0\0",
    "\ud800",
    "lone \udfff tail",
    "\ud83d\ude00",  # a pair of surrogates that is not the one character
    "😀",
    "e\u0301",  # not normalised, and must not be
    "\u00e9",
    "\ufeffbom",
    "\uffff",
    "\U0010ffff",
    "line\nbreak\r\ttab",
    "'; DROP TABLE perdure_items; --",
    '"double" `back` [brackets]',
    "%s %d {} ? :name ?1",
    "../../etc/passwd",
    "a.b|c:d/e\\f",
    "\x7f\x80\x9f",
    "\u202eright to left",
    "NULL",
    "0",
    "-1",
    "1e400",
    "İı",  # case folding differs by locale
    "x" * 5_000,
)
"""For keys, labels, channel names, node names, task paths."""

UUIDS: Final[tuple[str, ...]] = (
    "00000000-0000-0000-0000-000000000000",
    "00000000-0000-0000-0000-000000000001",
    "1f0c5f2e-0000-6000-8000-000000000000",
    "1f0c5f2e-0000-6000-8000-000000000001",
    "9fffffff-ffff-6fff-bfff-ffffffffffff",
    "a0000000-0000-6000-8000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)

IDS: Final[tuple[str, ...]] = (
    *UUIDS,
    *(text.upper() for text in UUIDS[2:]),
    *(text[:-1] for text in UUIDS),
    *(text + "0" for text in UUIDS),
    *(text[:-1] + "g" for text in UUIDS),
    *(text[:4] + "\0" + text[5:] for text in UUIDS),
    *(text.replace("-", "") for text in UUIDS),
    *(text.replace("-", "_") for text in UUIDS),
    *(text.replace("-", "+") for text in UUIDS),
    *(text[:9] + ":" + text[10:] for text in UUIDS),
    *STRINGS,
    "1",
    "2",
    "10",
    "step-0001",
    "f",
    "g",
    "/",
    ":",
    "`",
)
"""For checkpoint, run and task ids: whatever a program gives, they order as texts do."""

THREAD_IDS: Final[tuple[str, ...]] = (
    "1",
    "thread",
    "'; DROP TABLE perdure_threads; --",
    "a/b?c=d#e",
    "😀",
    "e\u0301",
    " ",
    "\U0010ffff",
    "x" * 1_024,
    "é" * 512,
    *UUIDS[:2],
)

BAD_THREAD_IDS: Final[tuple[str, ...]] = ("", "a\0b", "\ud800", "x" * 1_025, "é" * 513)

NAMESPACES: Final[tuple[tuple[str, ...], ...]] = (
    ("a",),
    ("a", "b"),
    ("ab",),
    ("a", ""),
    ("a\0",),
    ("a\0", "b"),
    ("a", "\0"),
    ("a\x01",),
    ("a\0\x01b",),
    ("a\0\xff",),
    ("\ud800",),
    ("\udfff", "b"),
    ("😀", "é", "e\u0301"),
    ("\uffff",),
    ("\U0010ffff",),
    ("x" * 2_000,),
    tuple("deep" for _ in range(64)),
)
"""For backends, which hold any of them; the public `put` refuses some."""

INTEGERS: Final[tuple[int, ...]] = (
    0,
    1,
    -1,
    127,
    128,
    (1 << 31) - 1,
    1 << 31,
    (1 << 48) - 1,
    (1 << 53) + 1,
    (1 << 63) - 1,
    -(1 << 63),
)

TOO_LARGE: Final[tuple[int, ...]] = (1 << 63, -(1 << 63) - 1, 10**40)
"""More than 64 bits: refused before a database sees them."""

PAYLOADS: Final[tuple[bytes, ...]] = (
    b"",
    b"\0",
    b"\0" * 100,
    b"\xff" * 31,
    bytes(range(256)),
    b"'; --",
    b"x" * 4_061,  # about what fits on a page
    b"y" * 8_200,
    b"z" * 100_000,
)
"""Bytes that a backend stores and never interprets."""
