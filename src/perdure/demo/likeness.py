"""How alike two texts are spelt, as vectors: what the demo searches by beside words, so that it needs no model.

It knows how words are written, not what they mean: "murder", "murderer" and "murther" are alike, "murder" and "kill" are
not. A program that wants meaning gives `index=` an embedding model instead; nothing else changes.

Method: feature hashing. Each word, and each run of three or four letters in it, is hashed to some of 256 components and
to a sign in each, so that what collides cancels out on average (Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature
Hashing for Large Scale Multitask Learning, ICML 2009; several components each are its "multiple hashing"). A word counts by the root of how often it stands there, and
long ones count more, because frequent words, which say little, are short (Zipf, The Psycho-Biology of Language, 1935).

Here: `Spelling`, `alike`. Not here: when it is asked (`run.py`). Pure, and the same in every process and on every machine.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from typing import Final, TypeAlias

__all__ = ["DIMS", "Spelling", "alike", "words_of"]

DIMS: Final = 256
_RUNS: Final = (3, 4)  # letters
_OF_RUNS: Final = 2.0  # what they count together, where the word as a whole counts 1
_COPIES: Final = 4  # components of one feature
_LONG: Final = 8  # letters from which a word counts in full
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

_Features: TypeAlias = "tuple[tuple[int, float], ...]"


class Spelling:
    """An embedder (`index={"embed": Spelling(), "dims": DIMS}`) of how texts are spelt. Safe from any thread.

    Vectors have length 1, or 0 if the text has no word. A text that was just asked for is not computed again when it is
    stored.

    Attributes:
        model: names the method, so that vectors of another one are never compared with these.
    """

    model = "spelling-1"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector of `DIMS` components a text, in order."""
        return [list(_vector(text)) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """As `embed_documents`, of one text."""
        return list(_vector(text))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        return self.embed_query(text)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: without case, without apostrophes."""
    return [found.replace("'", "").replace("\u2019", "").casefold() for found in _WORD.findall(text)]


def alike(one: str, other: str) -> float:
    """How alike two words are spelt, 0 to 1 for the same: the cosine of what they have, before it is hashed."""
    mine, theirs = _runs(one), _runs(other)
    if not mine or not theirs:
        return 1.0 if one == other else 0.0
    shared = len(set(mine) & set(theirs)) / math.sqrt(len(set(mine)) * len(set(theirs)))
    return 1.0 if one == other else shared * _OF_RUNS / (1 + _OF_RUNS)


@lru_cache(maxsize=4096)
def _vector(text: str) -> tuple[float, ...]:
    vector = [0.0] * DIMS
    for word, count in Counter(words_of(text)).items():
        weight = math.sqrt(count) * min(len(word), _LONG) / _LONG
        for place, value in _features(word):
            vector[place] += weight * value
    length = math.sqrt(math.fsum(value * value for value in vector))
    return tuple(value / length for value in vector) if length else tuple(vector)


@lru_cache(maxsize=1 << 15)
def _features(word: str) -> _Features:
    """Where the word counts, and how much: its runs of letters together twice as much as the whole."""
    runs = _runs(word)
    share = math.sqrt(_OF_RUNS / len(runs)) if runs else 0.0
    whole = _hashed(f"word {word}", 1.0)
    return tuple(whole + [place for run in runs for place in _hashed(f"run {run}", share)])


def _runs(word: str) -> list[str]:
    marked = f"<{word}>"
    return [marked[at : at + size] for size in _RUNS for at in range(len(marked) - size + 1)]


def _hashed(feature: str, value: float) -> list[tuple[int, float]]:
    """Its components, and the value with its sign in each. Not `hash()`, which differs from process to process."""
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2 * _COPIES).digest()
    part = value / math.sqrt(_COPIES)
    return [(digest[at] % DIMS, part if digest[at + 1] & 1 else -part) for at in range(0, len(digest), 2)]
