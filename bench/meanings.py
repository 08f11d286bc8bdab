"""Vectors for the benchmark, made here: no weights can be downloaded, so nothing stands for a trained model.

Both know no word that they were not shown, and no language; what a neural model adds (paraphrase, other words for the same
thing) is not in them. They show what fusing does with a second, independent opinion, not how good a model is.

- `Latent`: latent semantic analysis (Deerwester et al., JASIS 41(6), 1990) of the documents themselves: TF-IDF of their
  words, truncated to the largest singular values. Words that stand in the same speeches become alike.
- `Grams`: sums of random directions of the character n-grams (3 to 5) of each word, a word's weight by its rarity: spellings
  that are alike are alike. Signed feature hashing (Weinberger et al., ICML 2009); fitted to nothing but the words' rarity.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

DIMS = 256
WORD = re.compile(r"[a-z']+")


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


class Rarity:
    """How much a word says: the logarithm of how rare it is among some documents."""

    def __init__(self, documents: Sequence[str]) -> None:
        self.count = len(documents)
        self.having = Counter(word for text in documents for word in set(words_of(text)))

    def of(self, word: str) -> float:
        return math.log((1 + self.count) / (1 + self.having[word]))


class Latent:
    """Latent semantic analysis of these documents. A function from texts to vectors."""

    def __init__(self, documents: Sequence[str], dims: int = DIMS) -> None:
        self.rarity = Rarity(documents)
        self.places = {word: place for place, word in enumerate(sorted(self.rarity.having))}
        matrix = np.zeros((len(documents), len(self.places)))
        for row, text in zip(matrix, documents, strict=True):
            places, weights = self.weighed(text)
            row[places] = weights
        # The directions of words, by way of the smaller side: there are fewer documents than words.
        values, of_documents = np.linalg.eigh(matrix @ matrix.T)
        largest = np.argsort(values)[::-1][:dims]
        self.directions: Any = (
            matrix.T @ of_documents[:, largest] / np.sqrt(np.maximum(values[largest], 1e-12))
        )

    def weighed(self, text: str) -> tuple[list[int], Any]:
        counts = [(word, times) for word, times in Counter(words_of(text)).items() if word in self.places]
        weights = np.array([(1 + math.log(times)) * self.rarity.of(word) for word, times in counts])
        length = float(np.sqrt((weights * weights).sum())) or 1.0
        return [self.places[word] for word, _ in counts], weights / length

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return [(weights @ self.directions[places]).tolist() for places, weights in map(self.weighed, texts)]


class Grams:
    """Random directions of character n-grams, words weighed by their rarity in these documents."""

    def __init__(self, documents: Sequence[str], dims: int = DIMS) -> None:
        self.rarity = Rarity(documents)
        self.dims = dims
        self.of_word = lru_cache(100_000)(self.summed)

    def summed(self, word: str) -> Any:
        edged = f"<{word}>"
        row = np.zeros(self.dims)
        for size in (3, 4, 5):
            for at in range(len(edged) - size + 1):
                row += direction(edged[at : at + size], self.dims)
        length = np.linalg.norm(row)
        return row * (self.rarity.of(word) / length) if length else row

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        nothing = np.zeros(self.dims)
        return [sum(map(self.of_word, words_of(text)), nothing).tolist() for text in texts]


@lru_cache(200_000)
def direction(gram: str, dims: int) -> Any:
    """The same one always."""
    seed = int.from_bytes(blake2b(gram.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng(seed).choice((-1.0, 1.0), size=dims)
