"""What `add_node` and its kind are given, in one form: names, policies, path maps, destinations.

Also here: what is refused because it comes with a later release. Imports `inspect`; imported by `builder`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias, cast

from perdure.errors import PerdureError
from perdure.graph.inspect import UserCode, is_runnable, name_of
from perdure.types import RetryPolicy, TimeoutPolicy, as_name, retries

__all__ = [
    "Destinations",
    "PathMap",
    "Retry",
    "Timeout",
    "branch_name",
    "destinations_of",
    "mapping_of",
    "metadata_of",
    "named",
    "policies_of",
    "refuse_later",
]

Retry: TypeAlias = "RetryPolicy | Sequence[RetryPolicy] | None"
Timeout: TypeAlias = "float | timedelta | TimeoutPolicy | None"
Destinations: TypeAlias = "Mapping[str, str] | Sequence[str] | None"
PathMap: TypeAlias = "Mapping[Any, str] | Sequence[str] | None"


def named(node: object, action: object) -> tuple[str, object]:
    """Name and action of a node; the action alone is named after itself."""
    if action is not None:
        return as_name(node), action
    if isinstance(node, str):
        raise TypeError(
            f"add_node({node!r}) names a node but says nothing of what it does: add_node({node!r}, function)."
        )
    return name_of(node), node


def destinations_of(given: Destinations, code: UserCode) -> Mapping[str, str | None] | None:
    """Where a node's commands may lead: as given, else as annotated; with labels or None."""
    if isinstance(given, Mapping):
        return {as_name(name): label for name, label in given.items()}
    names = given if given is not None else code.jumps
    return {as_name(name): None for name in names} or None


def mapping_of(path_map: PathMap) -> dict[Hashable, str] | None:
    """From answers to nodes; a list maps each name to itself."""
    if path_map is None:
        return None
    if isinstance(path_map, Mapping):
        return {answer: as_name(end) for answer, end in path_map.items()}
    return {as_name(name): as_name(name) for name in path_map}


def policies_of(given: RetryPolicy | Sequence[RetryPolicy], *, of: str = "") -> tuple[RetryPolicy, ...]:
    """One or several policies as a tuple.

    Raises:
        TypeError: something else, or a `retry_on` that is no class, sequence or function.
    """
    policies = _one_or_several(given)
    for policy in policies:
        if not isinstance(policy, RetryPolicy):
            raise TypeError(f"{of}retry_policy is a RetryPolicy or a sequence of them, not {policy!r}.")
        if not callable(policy.retry_on):
            retries(policy, Exception())  # refuses what it cannot use, now instead of at the first failure
    return cast("tuple[RetryPolicy, ...]", policies)


def _one_or_several(given: object) -> tuple[object, ...]:
    if isinstance(given, Sequence) and not isinstance(given, RetryPolicy | str):  # a policy is a tuple, too
        return tuple(cast("Sequence[object]", given))
    return (given,)


def metadata_of(given: Mapping[str, Any] | None, node: str) -> dict[str, Any]:
    """A node's metadata as a dict of its own. Raises TypeError for something else."""
    if given is not None and not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise TypeError(f"node {node!r}: metadata is a dict, not {given!r}. The node was not added.")
    return dict(given or {})


def refuse_later(**later: object) -> None:
    """Raises PerdureError for a setting that a later release brings, so that none is silently ignored."""
    for name, value in later.items():
        if value is not None:
            raise PerdureError(
                f"{name}= arrives with a later release (see docs/reference/status.md). Nothing was added; leave it out."
            )


def branch_name(path: object) -> str:
    """What a conditional edge is called: its function's name, or `condition` where it has none."""
    own: object = getattr(path, "__name__", None) or (name_of(path) if is_runnable(path) else None)
    return own if isinstance(own, str) and own != "<lambda>" else "condition"
