"""Text to words, whatever the script: what is a letter, where a word ends, what an accent is.

Pure tables over Unicode. Not here: languages, stemming. Imported by `analyser` and `queries`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["LETTERS", "QUERY_LETTERS", "folded", "is_spaceless", "pieces", "runs", "without_accents"]

_APOSTROPHES: Final = "'\u2018\u2019\u02bc\uff07"
_QUOTES: Final = '"\u201c\u201d\u201e\u201f\uff02'
_STARS: Final = "*\uff0a"
_ZERO_WIDTH_SPACE: Final = (
    "\u200b"  # a format character by its category, but Thai and Khmer end words with it
)

# Scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, Hangul, Han, kana, Bopomofo. Korean does put
# spaces, but glues particles to its words: by pairs of syllables "at school" is found by "school".
_SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b"
    "\u3040-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
_RUN: Final = re.compile(f"([{_SPACELESS}]+)|[^{_SPACELESS}]+")
_REMEMBERED: Final = 0x10000  # all living scripts; a table of what is above would grow to a hundred megabytes
_PIECE: Final = 128  # characters normalised at once: the time for a heap of marks grows with its square

# Marks that may be missing where people type: accents of Latin, Greek and Cyrillic, points of Hebrew, vowels of Arabic.
# Not the vowel signs of India, which are half of a word.
_ACCENTS: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u0655\u0670]+"
)
# Letters that Unicode takes for letters of their own, though many keyboards lack them.
_PLAIN: Final = {
    ord(letter): plain
    for letter, plain in zip(
        "\u0131\u0142\u00f8\u0111\u00f0\u00e6\u0153\u00fe",
        ["i", "l", "o", "d", "d", "ae", "oe", "th"],
        strict=True,
    )
}


class _Letters(dict[int, "int | str | None"]):
    """For `str.translate`: letters, digits and marks stay, other characters become a space; made as they are met.

    All apostrophes become one. Format characters go (a soft hyphen does not end a word). A sign that stands for
    letters, like the one for "kg", becomes these letters.
    """

    def __init__(self, kept: dict[str, str]) -> None:
        super().__init__({ord(char): char for char in "'"})
        self.update({ord(char): "'" for char in _APOSTROPHES})
        self.update({ord(char): to for char, to in kept.items()})
        self[ord(_ZERO_WIDTH_SPACE)] = " "

    def __missing__(self, point: int) -> int | str | None:
        made = self._made(point)
        if point < _REMEMBERED:
            self[point] = made
        return made

    def _made(self, point: int) -> int | str | None:
        char = chr(point)
        category = unicodedata.category(char)
        if category[0] in "LMN":
            return point
        if category == "Cf":
            return None
        plain = unicodedata.normalize("NFKC", char)
        if plain != char and any(map(str.isalnum, plain)):
            return "".join(part if part.isalnum() else " " for part in plain)
        return " "


LETTERS: Final = _Letters({})
"""`text.translate(LETTERS).split()` are the pieces of a text; apostrophes are still in and around them."""

_ASCII: Final = "".join(map(chr, range(128))).translate(LETTERS).lower().encode().ljust(256)

QUERY_LETTERS: Final = _Letters({**dict.fromkeys(_QUOTES, '"'), **dict.fromkeys(_STARS, "*")})
"""The same for a query, in which quotes and stars mean something: they stay, as `"` and `*`."""


def pieces(text: str) -> list[str]:
    """The pieces of a text, between which there are neither letters nor apostrophes; in small letters where all is ASCII."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()  # the same, in a third of the time
    return text.translate(LETTERS).split()


def folded(piece: str) -> list[str]:
    """The piece without differences of case and of form (NFKC), as a list, because a form may stand for two words."""
    if piece.isascii():
        return [piece.lower()]
    whole = "".join(_same(piece[at : at + _PIECE]) for at in range(0, len(piece), _PIECE))
    return whole.translate(LETTERS).split()


def _same(piece: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", piece).casefold())


def runs(piece: str) -> Iterator[tuple[str, bool]]:
    """The parts of a folded piece, each with whether it is of a script without spaces."""
    if piece.isascii():
        yield piece, False
        return
    for found in _RUN.finditer(piece):
        yield found[0], found[1] is not None


def is_spaceless(char: str) -> bool:
    """Whether this is one character of a script without spaces."""
    found = _RUN.fullmatch(char)
    return len(char) == 1 and found is not None and found[1] is not None


def without_accents(term: str) -> str:
    """The term as somebody types it who has no such keys. One that is nothing but marks stays as it is."""
    if term.isascii():
        return term
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", term))
    return unicodedata.normalize("NFC", bare).translate(_PLAIN) or term
