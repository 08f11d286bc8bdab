"""What a store can be asked to do, as values; and which namespaces it is not asked about.

Here: operations, their results' type, namespace rules. Not here: who answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from typing_extensions import TypedDict

from perdure.errors import PerdureError, QueryError
from perdure.store.base.items import Item, SearchItem
from perdure.store.base.ranking import RankBy

__all__ = [
    "NOT_PROVIDED",
    "GetOp",
    "InvalidNamespaceError",
    "ListNamespacesOp",
    "MatchCondition",
    "NamespaceMatchType",
    "NamespacePath",
    "NotProvided",
    "NotSupported",
    "Op",
    "PutOp",
    "Result",
    "SearchOp",
    "TTLConfig",
    "check_labels",
    "check_namespace",
    "validate_op_namespace",
]

RESERVED_ROOT: Final = "langgraph"  # the field's; a program must not file its memories there

NamespacePath: TypeAlias = "tuple[str, ...]"
"""Labels to compare with; `"*"` stands for any one label."""
NamespaceMatchType: TypeAlias = Literal["prefix", "suffix"]


class InvalidNamespaceError(QueryError):
    """A namespace that no item can have; `part` is the label at fault. A `ValueError`. Nothing was written."""


class NotSupported(PerdureError, NotImplementedError):
    """This store does not do what was asked; instead of ignoring it, it did nothing."""


class NotProvided(Enum):
    """The type of `NOT_PROVIDED`: an argument was not given, which is something else than None."""

    NOT_GIVEN = "NOT_GIVEN"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_PROVIDED: Final = NotProvided.NOT_GIVEN


class GetOp(NamedTuple):
    """The item at a place."""

    namespace: tuple[str, ...]
    key: str
    refresh_ttl: bool = True


class SearchOp(NamedTuple):
    """Items of a subtree that fit."""

    namespace_prefix: tuple[str, ...]
    filter: dict[str, Any] | None = None
    limit: int = 10
    offset: int = 0
    query: str | None = None
    refresh_ttl: bool = True
    order_by: str | None = None
    after: str | None = None
    rank_by: RankBy | None = None
    neighbours: int = 0  # how many items before and behind each one found come with it


class PutOp(NamedTuple):
    """The item has this value from now on; None: it goes."""

    namespace: tuple[str, ...]
    key: str
    value: Mapping[str, Any] | None
    index: Literal[False] | list[str] | None = None  # pyright: ignore[reportIncompatibleMethodOverride] - the field's name
    ttl: float | None = None


class MatchCondition(NamedTuple):
    """Which namespaces are meant: those that begin or end with `path`."""

    match_type: NamespaceMatchType
    path: NamespacePath


class ListNamespacesOp(NamedTuple):
    """Namespaces that hold an item and meet all conditions, in order."""

    match_conditions: tuple[MatchCondition, ...] | None = None
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


Op: TypeAlias = GetOp | SearchOp | PutOp | ListNamespacesOp
Result: TypeAlias = "Item | list[Item] | list[SearchItem] | list[tuple[str, ...]] | None"


class TTLConfig(TypedDict, total=False):
    """How long items live.

    Attributes:
        refresh_on_read: whether reading an item starts its time anew.
        omit_expired: whether an expired item is hidden before it is swept.
        default_ttl: minutes, for items put without a `ttl` of their own; None is for ever.
        sweep_interval_minutes: pause between two sweeps.
    """

    refresh_on_read: bool
    omit_expired: bool
    default_ttl: float | None
    sweep_interval_minutes: int | None


def check_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels as a tuple, if each could be one of an item's namespace. `()` is fine.

    Raises:
        InvalidNamespaceError: it is not a tuple or list; a label is not text, is empty, or holds a period or a NUL.
    """
    if type(labels) is not tuple:
        labels = _as_tuple(labels)
    for label in labels:
        if type(label) is not str and not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise InvalidNamespaceError(
                f"The namespace {labels!r} has the label {label!r}, a {type(label).__name__}; labels are strings.",
                part=repr(label),
            )
        if not label:
            raise InvalidNamespaceError(
                f"The namespace {labels!r} has an empty label; leave it out.", part=""
            )
        if "." in label or "\0" in label:
            raise InvalidNamespaceError(
                f"The namespace {labels!r} has the label {label!r}; a label holds no period and no NUL character. "
                "Make it two labels, or write another character.",
                part=label,
            )
    return labels


def check_namespace(namespace: tuple[str, ...], *, reserved: bool = False) -> tuple[str, ...]:
    """The namespace, if an item can be filed under it.

    Args:
        namespace: at least one label.
        reserved: whether the root label that the field keeps for itself is allowed.

    Raises:
        InvalidNamespaceError: as `check_labels`, and for `()` and the reserved root label.
    """
    namespace = check_labels(namespace)
    if not namespace:
        raise InvalidNamespaceError(
            "The namespace is empty. Give at least one label, e.g. ('notes',).", part="()"
        )
    if namespace[0] == RESERVED_ROOT and not reserved:
        raise InvalidNamespaceError(
            f"The namespace {namespace!r} begins with the reserved label {RESERVED_ROOT!r}. Choose another.",
            part=RESERVED_ROOT,
        )
    return namespace


def validate_op_namespace(op: Op) -> None:
    """Looks at the operation's namespace, prefix or match conditions; passes an operation of another kind.

    Raises:
        InvalidNamespaceError: as `check_labels`; for a put of a value also `()`.
    """
    match op:
        case PutOp(namespace, _, value) if value is not None:
            check_namespace(namespace, reserved=True)
        case PutOp(namespace) | GetOp(namespace) | SearchOp(namespace):
            check_labels(namespace)
        case ListNamespacesOp(conditions):
            for condition in conditions or ():
                check_labels(condition.path)
        case _:
            return


def _as_tuple(labels: object) -> tuple[str, ...]:
    if isinstance(labels, tuple | list):
        return tuple(labels)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - looked at next
    raise InvalidNamespaceError(
        f"A namespace is a tuple of strings, this is {labels!r}, a {type(labels).__name__}."
        + (f" Write ({labels!r},)." if isinstance(labels, str) else ""),
        part=repr(labels),
    )
