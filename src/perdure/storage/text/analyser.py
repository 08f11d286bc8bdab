"""Texts to terms: what an item is found by, and what a query asks for. The same on every backend.

Here: an analyser for a language, documents, phrases. Not here: what a letter is (`letters`), the grammar of queries
(`queries`), which texts an item has (`values`), scores (`bm25`).
Pure but for the stemmer, imported at the first analyser of a language. Safe from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from perdure.errors import QueryError
from perdure.storage.text.languages import LANGUAGES, NONE, STOP_WORDS
from perdure.storage.text.letters import folded, is_spaceless, pieces, runs, without_accents
from perdure.storage.text.queries import TextQuery, Word, read

__all__ = ["Analyser", "Document", "TextQuery", "analyser"]

_VERSION: Final = (
    1  # of all that is written in this package; one more whenever a term could come out otherwise
)
_LONGEST: Final = 64  # characters of a term
_CHUNK: Final = 4 * _LONGEST  # characters of a piece that is worth remembering
_REMEMBERED: Final = 32_768  # pieces; more than most people's vocabulary, some megabytes


class Document(NamedTuple):
    """What an index keeps of an item: how often each term stands in it, and how many there are in all."""

    counts: dict[str, int]
    length: int


def analyser(language: str = "english") -> Analyser:
    """The analyser of a language: one for the whole process, made at the first call.

    Args:
        language: in English and small letters; `"none"` takes words as they stand: no stemming, no stop words.

    Raises:
        QueryError: no such language; the message lists those there are.
    """
    if language not in (NONE, *LANGUAGES):
        raise QueryError(
            f"Text search knows no language {language!r}. Known are {', '.join([NONE, *LANGUAGES])}.",
            part=str(language),
        )
    return _analyser(language)


@cache
def _analyser(language: str) -> Analyser:
    if language == NONE:
        return Analyser(f"{NONE}/{_VERSION}", str, frozenset())
    # The library's own `stemmer()` would take a compiled one of any version where it is installed; terms on disk must
    # not depend on that.
    module: Any = import_module(f"snowballstemmer.{language}_stemmer")
    stem = getattr(module, f"{language.title()}Stemmer")().stemWord
    name = f"{language}/{_VERSION}/snowball-{'.'.join(version('snowballstemmer').split('.')[:2])}"
    return Analyser(
        name, _one_at_a_time(stem), STOP_WORDS.get(language, frozenset()), english=language == "english"
    )


class Analyser:
    """Makes terms of texts. Got from `analyser`.

    A word is a run of letters, digits and marks, without regard to case, to accents and to Unicode's several forms of
    one character, cut at 64 characters and stemmed. An apostrophe does not end a word. Scripts without spaces give
    pairs of neighbouring characters, and the last one of each run alone: so a query of one character, as a prefix,
    finds all. Anything else separates words: NUL, lone surrogates and emoji, too.

    Stop words are indexed like others and only left out of queries that have other words. "To be or not to be" has
    none but stop words, phrases hold them, and whoever searches for "the who" means it. The price is a larger index
    (docs/decisions/0010).

    Attributes:
        name: of what it makes, for good. Another name: another version of this code or of the stemmer, whose terms
            may differ, so that what was indexed before has to be indexed anew.
        stem: a word to its stem.
        stop_words: as they are after case folding, without apostrophes.
    """

    def __init__(
        self, name: str, stem: Callable[[str], str], stop_words: frozenset[str], *, english: bool = False
    ) -> None:
        self.name = name
        self.stem = stem
        self.stop_words = stop_words
        self._english = english
        self._word = lru_cache(_REMEMBERED)(self._read)  # words, for text whose pieces hold several
        self._terms = _Remembered(self._made)

    def __repr__(self) -> str:
        return f"<Analyser {self.name}>"

    def document(self, texts: Iterable[str]) -> Document:
        """What to keep of these texts. The length counts every word, stop words included."""
        # A plain dict of strings and integers: the garbage collector leaves it alone, however many there are.
        counts: dict[str, int] = {}
        known = self._terms
        for text in texts:
            for piece in pieces(text):
                terms = known[piece]
                if type(terms) is str:
                    counts[terms] = counts[terms] + 1 if terms in counts else 1
                else:
                    for term in terms:
                        counts[term] = counts.get(term, 0) + 1
        return Document(counts, sum(counts.values()))

    def terms(self, texts: Iterable[str]) -> list[str]:
        """All terms of these texts, in order, each as often as it stands there."""
        return [term for text in texts for term in self._sequence(text)]

    def telling(self, texts: Iterable[str]) -> frozenset[str]:
        """The terms of these texts that say something: without stop words, unless there is nothing else."""
        words = [word for text in texts for chunk in pieces(text) for word in self._words(chunk)]
        found = frozenset(word.term for word in words if not word.stop)
        return found or frozenset(word.term for word in words)

    def query(self, text: str) -> TextQuery:
        """What this text asks for. Any text is a query; one without any word asks for nothing.

        `"quoted words"` are a phrase; `word*` is a prefix, compared with terms, which are stems: it does not see
        endings that the stemmer takes away. All other signs mean nothing, a quote without its partner included.
        Of a long text the first 16,384 characters are read, and the first 64 different words count.
        """
        return read(text, self._words)

    def has_phrase(self, texts: Iterable[str], phrase: tuple[str, ...]) -> bool:
        """Whether one of the texts has these terms one after the other. The empty phrase is everywhere."""
        if not phrase:
            return True
        *first, last = phrase
        # At its end a single character of a script without spaces stands for every pair that begins with it.
        ends = str.startswith if is_spaceless(last) else str.__eq__
        span = len(first)
        for text in texts:
            terms = list(self._sequence(text))
            for at in range(len(terms) - span):
                if ends(terms[at + span], last) and terms[at : at + span] == first:
                    return True
        return False

    def _sequence(self, text: str) -> Iterator[str]:
        for terms in map(self._terms.__getitem__, pieces(text)):
            if type(terms) is str:
                yield terms
            else:
                yield from terms

    def _made(self, chunk: str) -> tuple[str, ...]:
        terms: list[str] = []
        for piece in folded(chunk):
            for run, spaceless in runs(piece):
                if spaceless:
                    terms += _pairs(run)
                elif word := _trimmed(run):
                    terms.append(self._word(word).term)
        return tuple(terms)

    def _words(self, chunk: str) -> Iterator[Word]:
        for piece in folded(chunk):
            for run, spaceless in runs(piece):
                if spaceless:
                    for pair in _pairs(run):
                        yield Word(pair, "", stop=False, tail=len(pair) == 1, alone=len(run) == 1)
                elif word := _trimmed(run):
                    yield self._word(word)

    def _read(self, word: str) -> Word:
        if self._english and "'" in word:
            word = self._without_enclitics(word)
        surface = word.replace("'", "")
        term = self.stem(word).replace("'", "") or surface
        return Word(
            without_accents(term)[:_LONGEST],
            without_accents(surface),
            stop=surface in self.stop_words,
            tail=False,
            alone=False,
        )

    def _without_enclitics(self, word: str) -> str:
        """Of "king's" it leaves "king", of "she'll" "she", of "drown'd" "drowned"; "don't" stays, to become "dont"."""
        while True:
            base, _, end = word.rpartition("'")
            if base and end in {"s", "ll", "re", "ve", "m"}:
                word = base
            elif base and end == "d":
                # He'd and who'd against the elder spelling of -ed: pronouns and question words are all stop words.
                word = base if base in self.stop_words else f"{base}ed"
            else:
                return word


def _pairs(run: str) -> list[str]:
    """For "ABC" these are "AB", "BC" and "C"."""
    return [*map(str.__add__, run, run[1:]), run[-1]]


def _trimmed(run: str) -> str:
    return run.strip("'")[:_LONGEST].rstrip("'")


class _Remembered(dict[str, "str | tuple[str, ...]"]):
    """Pieces of text to their terms, worked out once: the stemmer takes tens of microseconds a word.

    Nearly all pieces have one term, which stands here by itself; of the others all do, if there are any. When there are too many, those that nobody asked for since the last time are forgotten.
    """

    def __init__(self, make: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__()
        self._make = make
        self._older: dict[str, str | tuple[str, ...]] = {}

    def __missing__(self, chunk: str) -> str | tuple[str, ...]:
        terms = self._older.get(chunk)
        if terms is None:
            made = self._make(chunk)
            terms = made[0] if len(made) == 1 else made
        # Several terms are a sentence of a script without spaces, which hardly comes again.
        if (terms == () or type(terms) is str) and len(chunk) <= _CHUNK:
            if len(self) >= _REMEMBERED:
                self._older = dict(self)
                self.clear()
            self[chunk] = terms
        return terms


def _one_at_a_time(stem: Callable[[str], str]) -> Callable[[str], str]:
    """A stemmer keeps the word it works on in itself."""
    lock = threading.Lock()

    def guarded(word: str) -> str:
        with lock:
            return stem(word)

    return guarded
