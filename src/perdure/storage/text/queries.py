"""The grammar of queries: words, `"phrases"`, `prefixes*`; any text is one.

Not here: how a word becomes a term. Pure; imported by `analyser`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from perdure.storage.text.letters import QUERY_LETTERS

__all__ = ["TextQuery", "Word", "read"]

_READ: Final = 16_384  # characters of a query
_MOST: Final = 64  # terms and prefixes of a query; words in all its phrases

# A quote, or a piece of text with the star behind it. A star before a letter is no prefix but a sign: "2*3".
_PART: Final = re.compile(r'"|([^\s"*]+)(\*+(?![^\s"*]))?')


class TextQuery(NamedTuple):
    """What a text asks for.

    Attributes:
        terms: different ones, in the order in which they stand in the query.
        prefixes: what a term may begin with. A lone character of a script without spaces is one.
        phrases: terms that must stand one after the other. They are in `terms`, too, but for a lone character of a
            script without spaces at the end of a phrase, which is in `prefixes`.
    """

    terms: tuple[str, ...]
    prefixes: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]


class Word(NamedTuple):
    """One word of a text.

    Attributes:
        term: what is indexed.
        surface: the word before stemming; empty in scripts without spaces.
        stop: it says nothing by itself.
        tail: the last character of a run of a script without spaces.
        alone: and the first one, too.
    """

    term: str
    surface: str
    stop: bool
    tail: bool
    alone: bool


def read(text: str, words: Callable[[str], Iterable[Word]]) -> TextQuery:
    """The query in this text; `words` takes a piece of text apart."""
    reader = _Reader()
    for part in _parts(text, words):
        if isinstance(part, list):
            reader.phrase(part)
        else:
            reader.word(*part)
        if reader.full:
            break
    return reader.query()


def _parts(text: str, words: Callable[[str], Iterable[Word]]) -> Iterator[tuple[Word, bool] | list[Word]]:
    """Each word with whether a star follows it, and each phrase as a list."""
    plain = text[:_READ].translate(QUERY_LETTERS)
    if plain.count('"') % 2:
        plain = " ".join(plain.rsplit('"', 1))
    phrase: list[Word] | None = None
    for found in _PART.finditer(plain):
        if found[0] == '"':
            if phrase is not None:
                yield phrase
            phrase = [] if phrase is None else None
        elif phrase is not None:
            phrase += words(found[1])
        else:
            pieces = list(words(found[1]))
            for word in pieces:
                yield word, found[2] is not None and word is pieces[-1]


class _Reader:
    """A query while it is read."""

    def __init__(self) -> None:
        self.terms: dict[str, None] = {}
        self.stop_words: dict[str, None] = {}
        self.prefixes: dict[str, None] = {}
        self.phrases: dict[tuple[str, ...], None] = {}
        self.in_phrases = 0

    @property
    def full(self) -> bool:
        return len(self.terms) + len(self.prefixes) >= _MOST or self.in_phrases >= _MOST

    def word(self, word: Word, starred: bool) -> None:
        if word.alone:
            self.prefixes[word.term] = None
        elif word.tail:
            pass  # the pair before holds it
        elif starred and word.surface:
            self.prefixes[word.surface] = None
            # "happy*" means "happi", too, which is what "happy" is indexed by.
            if not word.term.startswith(word.surface) and not word.stop:
                self.terms[word.term] = None
        elif word.stop:
            if len(self.stop_words) < _MOST:
                self.stop_words[word.term] = None
        else:
            self.terms[word.term] = None

    def phrase(self, words: list[Word]) -> None:
        if words and words[-1].tail and not words[-1].alone:
            words = words[:-1]  # the run may go on in the document
        taken: list[str] = []
        for word in words:
            if self.full:
                break
            (self.prefixes if word is words[-1] and word.alone else self.terms)[word.term] = None
            taken.append(word.term)
            self.in_phrases += 1
        if taken:
            self.phrases[tuple(taken)] = None

    def query(self) -> TextQuery:
        nothing_else = not self.terms and not self.prefixes
        terms = self.stop_words if nothing_else else self.terms
        return TextQuery(tuple(terms), tuple(self.prefixes), tuple(self.phrases))
