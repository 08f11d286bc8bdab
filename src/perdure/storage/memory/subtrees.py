"""Namespaces in order: a subtree is a range of them.

Here: which. Not here: what is kept by namespace (`texts.py`, `vectors.py`).
"""

from __future__ import annotations

from bisect import bisect_left

from perdure.storage.contract import Namespace

__all__ = ["below"]


def below(names: list[Namespace], prefix: Namespace) -> list[Namespace]:
    """Those of the names, which are in order, that begin with the prefix. Two searches by halves, whatever lies in between."""
    if not prefix:
        return list(names)
    first = bisect_left(names, prefix)
    # No label lies between one and the same with NUL behind it, so no namespace of another subtree does.
    return names[first : bisect_left(names, (*prefix[:-1], prefix[-1] + "\0"), first)]
