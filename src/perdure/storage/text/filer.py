"""How a store files its items by words: which strings of a value, made to terms by which analyser.

Here: `Filer`, a value to what the backend files. Not here: terms (`analyser.py`), postings (the backends).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.storage.contract import Filed
from perdure.storage.text.analyser import Analyser, TextQuery
from perdure.storage.text.values import texts_of

__all__ = ["Filer"]


class Filer:
    """Immutable; safe from any thread.

    Attributes:
        analysis: names what it does with a value, for good: terms of another name never meet these.
    """

    __slots__ = ("_analyser", "_fields", "_shown", "analysis")

    def __init__(
        self, analyser: Analyser, fields: Sequence[str] | None = None, shown: Sequence[str] | None = None
    ) -> None:
        """With the paths whose texts are filed; None: all strings of the value. `shown`: no others, whatever an item says."""
        self._analyser = analyser
        self._fields = None if fields is None else tuple(fields)
        self._shown = None if shown is None else frozenset(shown)
        self.analysis = analyser.name + ("" if fields is None else f" of {'|'.join(fields)}")
        if shown is not None:
            self.analysis += f" within {'|'.join(sorted(shown))}"

    def __repr__(self) -> str:
        return f"<Filer {self.analysis}>"

    def texts(self, value: Mapping[str, Any], paths: Sequence[str] | None) -> list[str]:
        """What of the value is to be found; `paths` are the item's own, None if it has none."""
        if paths is not None and self._shown is not None:
            paths = [path for path in paths if path in self._shown]
        return list(texts_of(value, self._fields if paths is None else paths))

    def filed(self, value: Mapping[str, Any], paths: Sequence[str] | None) -> Filed:
        """The value as it is filed."""
        counts, length = self._analyser.document(self.texts(value, paths))
        return Filed(self.analysis, counts, length)

    def terms(self, value: Mapping[str, Any], paths: Sequence[str] | None) -> list[str]:
        """The terms of what is to be found, in order."""
        return self._analyser.terms(self.texts(value, paths))

    def telling(self, value: Mapping[str, Any], paths: Sequence[str] | None) -> frozenset[str]:
        """The terms by which two values can be compared: those that say something."""
        return self._analyser.telling(self.texts(value, paths))

    def query(self, text: str) -> TextQuery:
        """What a user asks for, in terms."""
        return self._analyser.query(text)

    def has_phrase(self, texts: Sequence[str], phrase: tuple[str, ...]) -> bool:
        """Whether the terms stand one after the other in one of the texts."""
        return self._analyser.has_phrase(texts, phrase)
