"""A long text on one short line: the stretch of it that has most to do with a question.

Here: `excerpt`, `has_something_of`. Pure. Not here: which texts are shown (`asking.py`).
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from perdure.demo.likeness import alike, words_of

__all__ = ["ALIKE", "excerpt", "has_something_of"]

ALIKE: Final = 0.3
"""How alike two words must be spelt to be taken for each other: `poisned` and `poisoned` are, `cup` and `cap` are not."""
_LEAST: Final = 4  # letters of a word that is looked for by spelling: short ones are like too many
_DOTS: Final = "..."


def has_something_of(text: str, question: str) -> bool:
    """Whether a word of the text is one of the question's longer ones, or spelt like one; of any, if it has no longer ones."""
    words = set(words_of(question))
    asked = {word for word in words if len(word) >= _LEAST} or words
    return any(_weight(word, asked, asked) for word in set(words_of(text)))


def excerpt(text: str, question: str, width: int) -> str:
    """The text on one line of at most `width` characters, cut where it has least of the question's words.

    Dots stand where something is left out. Without such words it is the beginning.

    Args:
        width: characters, at least 20.
    """
    spans = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
    tokens = [text[start:end] for start, end in spans]
    if len(line := " ".join(tokens)) <= width:
        return line
    asked = set(words_of(question))
    # What the text has as it was asked for is not looked for in other spellings, which could outweigh it.
    misspelt = asked.difference(words_of(text))
    weights = [
        max((_weight(word, asked, misspelt) for word in words_of(token)), default=0.0) for token in tokens
    ]
    room = width - 2 * (len(_DOTS) + 1)
    first, end = _widened(tokens, *_best(tokens, weights, room), room)
    shown = " ".join(tokens[first:end])[:room]
    return f"{_DOTS + ' ' if first else ''}{shown}{' ' + _DOTS if end < len(tokens) else ''}"


def _weight(word: str, asked: set[str], misspelt: set[str]) -> float:
    """What the word says about the question: nothing, or much more for longer words, which are rarer.

    `misspelt`: those that are taken for words that are spelt like them.
    """
    if word in asked:
        return float(len(word) ** 2)
    if len(word) < _LEAST:
        return 0.0
    likest = max((alike(word, other) for other in misspelt if len(other) >= _LEAST), default=0.0)
    return likest * len(word) ** 2 if likest >= ALIKE else 0.0


def _best(tokens: list[str], weights: list[float], room: int) -> tuple[int, int]:
    """The stretch of greatest weight that fits, without what weighs nothing at its ends; the first of equal ones."""
    before = [0.0, *accumulate(weights)]
    ends = [0, *accumulate(len(token) + 1 for token in tokens)]
    best, found = 0.0, (0, 1)
    end = 1
    for first in range(len(tokens)):
        end = max(end, first + 1)
        while end < len(tokens) and ends[end + 1] - ends[first] - 1 <= room:
            end += 1
        weight = before[end] - before[first]
        if weight > best:
            best, found = weight, (first, end)
    first, end = found
    while best and not weights[first]:
        first += 1
    while best and not weights[end - 1]:
        end -= 1
    return first, end


def _widened(tokens: list[str], first: int, end: int, room: int) -> tuple[int, int]:
    """As many tokens around it as fit, in turn after and before."""
    left = room - len(" ".join(tokens[first:end]))
    grows = True
    while grows:
        grows = False
        if end < len(tokens) and len(tokens[end]) < left:
            left -= len(tokens[end]) + 1
            end, grows = end + 1, True
        if first > 0 and len(tokens[first - 1]) < left:
            left -= len(tokens[first - 1]) + 1
            first, grows = first - 1, True
    return first, end
