"""Which namespaces a listing means.

Here: match conditions with `"*"`, cutting to a depth. Not here: paging and public arguments (`item_store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from perdure.errors import QueryError
from perdure.storage.contract import Namespace, Snapshot
from perdure.storage.staging import Layer, read_namespaces
from perdure.store.base import MatchCondition
from perdure.store.base.ops import check_labels

__all__ = ["ANY_LABEL", "check_conditions", "cut_to", "matching", "meets"]

ANY_LABEL = "*"


def check_conditions(conditions: Sequence[MatchCondition]) -> tuple[MatchCondition, ...]:
    """The conditions, if they can be right. Raises QueryError: another match type, a label that no namespace has."""
    for condition in conditions:
        if condition.match_type not in ("prefix", "suffix"):
            raise QueryError(
                f"{condition!r} has an unknown match type; there are 'prefix' and 'suffix'.",
                part=condition.match_type,
            )
    return tuple(MatchCondition(kind, check_labels(path)) for kind, path in conditions)


def matching(
    snapshot: Snapshot, layers: Sequence[Layer], conditions: Sequence[MatchCondition], depth: int | None
) -> list[Namespace]:
    """Namespaces that hold an item and meet all conditions, cut to `depth` labels, in order, each once."""
    found = [
        namespace
        for namespace in read_namespaces(snapshot, layers, _literal_prefix(conditions))
        if all(meets(namespace, condition) for condition in conditions)
    ]
    return cut_to(found, depth)


def cut_to(namespaces: list[Namespace], depth: int | None) -> list[Namespace]:
    """Their first `depth` labels, in order, each once; None: as they are."""
    if depth is None:
        return namespaces
    return sorted({namespace[:depth] for namespace in namespaces})


def _literal_prefix(conditions: Sequence[MatchCondition]) -> Namespace:
    """The longest prefix that all have to begin with: what the database looks up."""
    prefixes = [
        tuple(takewhile(lambda label: label != ANY_LABEL, path))
        for kind, path in conditions
        if kind == "prefix"
    ]
    return max(prefixes, key=len, default=())


def meets(namespace: Namespace, condition: MatchCondition) -> bool:
    """Whether the namespace is one of those that the condition means."""
    size = len(condition.path)
    if len(namespace) < size:
        return False
    labels = namespace[:size] if condition.match_type == "prefix" else namespace[len(namespace) - size :]
    return all(want in (ANY_LABEL, label) for want, label in zip(condition.path, labels, strict=True))
