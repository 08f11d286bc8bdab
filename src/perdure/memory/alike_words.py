"""Which texts say nearly the same, told by their words alone, without a model. Pure.

Two texts are as alike as the longest sequence of terms that both have, in order, is long in proportion to all their terms:
`common / (len(a) + len(b) - common)`, 1 for the same terms in the same order. So one word more in ten is 0.91, and "Bob
calls Ada" is far from "Ada calls Bob".

Pairs are not compared one with another. What a pair has in common in order it has in common without, so its multisets of
terms have a Jaccard coefficient at least as high; and for that each text needs to be filed under its few rarest terms only
(prefix filter: Chaudhuri, Ganti & Kaushik, ICDE 2006; Bayardo, Ma & Srikant, WWW 2007). No pair is missed by it. The common
sequence is found bit-parallel (Allison & Dix, IPL 23, 1986; Hyyrö, AWOCA 2004).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

__all__ = ["Groups", "common", "groups_by_words", "likeness"]

Groups: TypeAlias = "list[list[tuple[int, float]]]"
"""Of each group its members, the first being the one that the others are like, each with how much it is like that one."""

_NEAR: Final = 1e-9  # what rounding may take from a likeness
_Token: TypeAlias = tuple[str, int]  # a term, and the how-manieth of it in its text: multisets as sets


def groups_by_words(texts: Sequence[Sequence[str]], above: float) -> Groups:
    """Texts that are alike, in groups of two and more. Each is in one at most.

    The first text that is in no group yet takes all later ones that are like it, and so on: so all of a group are like
    its first one, there are no chains, and the outcome depends on nothing but the order of the texts. Those without any
    term are in none.

    Args:
        texts: the terms of each, in order.
        above: how alike they have to be, more than 0, at most 1.
    """
    same: dict[tuple[str, ...], list[int]] = {}
    for place, terms in enumerate(texts):
        if terms:
            same.setdefault(tuple(terms), []).append(place)
    return _Join(list(same), list(same.values()), above).groups()


def likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """How alike two texts are, from 0 to 1."""
    shared = common(one, other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How long the longest sequence is that stands in both, in order, not necessarily without gaps."""
    where: dict[str, int] = defaultdict(int)
    for place, term in enumerate(one):
        where[term] |= 1 << place
    every = (1 << len(one)) - 1
    row = every
    for term in other:
        met = row & where.get(term, 0)
        row = ((row + met) | (row - met)) & every
    return len(one) - row.bit_count()


class _Join:
    """Different texts, each with the places where it stands."""

    def __init__(self, texts: list[tuple[str, ...]], places: list[list[int]], above: float) -> None:
        self._texts = texts
        self._places = places
        self._above = above - _NEAR
        tokens = [frozenset(_tokens(terms)) for terms in texts]
        frequency = Counter(token for some in tokens for token in some)
        self._tokens = tokens
        # Of each text its rarest terms. Two that are alike share one that is among the `few` of the shorter text and among
        # the `more` of the longer one: what both have in common begins, in the order of rarity, no later than there.
        self._more = [
            sorted(some, key=lambda token: (frequency[token], token))[: _first(len(some), self._above)]
            for some in tokens
        ]
        both = 2 * self._above / (1 + self._above)
        self._few = [rare[: _first(len(some), both)] for rare, some in zip(self._more, tokens, strict=True)]
        self._by_few = _filed(self._few)
        self._by_more = _filed(self._more)

    def groups(self) -> Groups:
        taken: set[int] = set()
        found: Groups = []
        for number in range(len(self._texts)):
            if number in taken:
                continue
            taken.add(number)
            like = [(number, 1.0), *self._like(number, taken)]
            taken.update(other for other, _ in like)
            members = sorted((place, share) for other, share in like for place in self._places[other])
            if len(members) > 1:
                found.append(members)
        return found

    def _like(self, number: int, taken: set[int]) -> Iterable[tuple[int, float]]:
        mine, terms = self._tokens[number], self._texts[number]
        candidates = {other for token in self._more[number] for other in self._by_few.get(token, ())}
        candidates.update(other for token in self._few[number] for other in self._by_more[token])
        for other in sorted(candidates - taken):
            theirs = self._tokens[other]
            if min(len(mine), len(theirs)) < self._above * max(len(mine), len(theirs)):
                continue
            shared = len(mine & theirs)
            if shared < self._above * (len(mine) + len(theirs) - shared):
                continue
            share = likeness(terms, self._texts[other])
            if share >= self._above:
                yield other, share


def _first(size: int, part: float) -> int:
    """How many of `size` terms one has to look at, if at least this part of them is shared."""
    return size - math.ceil(part * size) + 1


def _filed(rare: Sequence[Sequence[_Token]]) -> dict[_Token, list[int]]:
    """By each term the texts that have it there."""
    under: dict[_Token, list[int]] = defaultdict(list)
    for number, some in enumerate(rare):
        for token in some:
            under[token].append(number)
    return under


def _tokens(terms: Sequence[str]) -> Iterable[_Token]:
    seen: Counter[str] = Counter()
    for term in terms:
        seen[term] += 1
        yield term, seen[term]
