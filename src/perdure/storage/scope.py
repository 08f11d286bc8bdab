"""What a scope calls things and what its store calls them: the same, less a prefix.

Here: `Scope`, which translates namespaces, operations, items, reports and errors in both directions. Not here: the view
that uses it (`scoped.py`). Conditions of `list_namespaces`, which know a wildcard, are looked at here, against namespaces
that have lost the prefix.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, cast

from perdure.errors import ContractError, PerdureError, VersionConflict
from perdure.storage.contract import Namespace
from perdure.storage.cursors import moved_in, moved_out
from perdure.storage.item_batch import counted
from perdure.storage.namespace_match import ANY_LABEL, check_conditions, cut_to, meets
from perdure.storage.reranking import inside_scope
from perdure.storage.reverting import Reverted
from perdure.storage.versions import Blame, Difference, ItemVersion
from perdure.store.base import (
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)
from perdure.store.base.ops import check_labels, check_namespace

__all__ = ["Scope", "check_scope"]

_ALL: Final = (1 << 63) - 1


class Scope:
    """A checked prefix that somebody takes for the root."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: Namespace) -> None:
        self.prefix = prefix

    def within(self, namespace: Namespace) -> Namespace:
        """The store's name of what the scope calls so."""
        return (*self.prefix, *namespace)

    def out(self, namespace: Namespace) -> Namespace:
        """The scope's name of what the store calls so."""
        if namespace[: len(self.prefix)] != self.prefix:
            raise AssertionError("a store answered for another subtree than it was asked for")
        return namespace[len(self.prefix) :]

    def item_out(self, item: Item) -> Item:
        """The same item, which nobody else holds."""
        item.namespace = self.out(item.namespace)
        if isinstance(item, SearchItem) and item.cursor is not None:
            item.cursor = moved_out(item.cursor, self.prefix)
        return item

    def version_out(self, version: ItemVersion) -> ItemVersion:
        """The version, with the scope's name of its item."""
        return replace(version, namespace=self.out(version.namespace))

    def difference_out(self, difference: Difference) -> Difference:
        """The difference, with the scope's name of its item."""
        return replace(difference, namespace=self.out(difference.namespace))

    @contextmanager
    def errors_out(self) -> Generator[None]:
        """In this block errors lose the prefix, too."""
        try:
            yield
        except PerdureError as error:
            opening = repr(self.prefix)[:-1].rstrip(",") + ", "
            message = error.args[0] if error.args else None
            if isinstance(error, VersionConflict) and error.namespace[: len(self.prefix)] == self.prefix:
                there, here = error.namespace, self.out(error.namespace)
                message = str(message).replace(repr(there), repr(here))
                error.namespace = here
                error.keys = tuple((self.out(namespace), key) for namespace, key in error.keys)
            if isinstance(error, ContractError) and error.namespace[: len(self.prefix)] == self.prefix:
                error.namespace = self.out(error.namespace)
            if isinstance(message, str):
                error.args = (message.replace(opening, "("), *error.args[1:])
            raise

    def op_in(self, op: Op) -> Op:
        """The operation as the store has to be asked."""
        validate_op_namespace(op)
        match op:
            case GetOp() | PutOp():
                return op._replace(namespace=self.within(check_labels(op.namespace)))
            case SearchOp():
                after = None if op.after is None else moved_in(op.after, self.prefix)
                prefix = self.within(check_labels(op.namespace_prefix))
                ranking = inside_scope(op.rank_by, self.prefix)
                return op._replace(namespace_prefix=prefix, after=after, rank_by=ranking)
            case ListNamespacesOp():
                check_conditions(op.match_conditions or ())
                counted("limit", op.limit)
                counted("offset", op.offset)
                if op.max_depth is not None:
                    counted("max_depth", op.max_depth, least=1)
                return ListNamespacesOp((MatchCondition("prefix", self.prefix),), None, _ALL)
            case _:
                return op  # the store says that there is none such

    def result_out(self, op: Op, result: Result) -> Result:
        """What the store answered, as the scope was asked."""
        match op:
            case GetOp():
                return None if result is None else self.item_out(cast("Item", result))
            case SearchOp():
                return [self.item_out(item) for item in cast("list[SearchItem]", result)]
            case ListNamespacesOp():
                conditions = check_conditions(op.match_conditions or ())
                spaces = [self.out(space) for space in cast("list[Namespace]", result)]
                found = [space for space in spaces if all(meets(space, one) for one in conditions)]
                return cut_to(found, op.max_depth)[op.offset : op.offset + op.limit]
            case _:
                return None

    def blame_out(self, blame: Blame | None) -> Blame | None:
        """Who wrote, with the scope's names."""
        if blame is None:
            return None
        fields = {name: None if one is None else self.version_out(one) for name, one in blame.fields.items()}
        return replace(blame, version=self.version_out(blame.version), fields=fields)

    def report_out(self, report: Reverted) -> Reverted:
        """What was taken back, with the scope's names."""
        conflicts = tuple(
            replace(
                one,
                namespace=self.out(one.namespace),
                later=None if one.later is None else self.version_out(one.later),
            )
            for one in report.conflicts
        )
        return replace(
            report, items=tuple(self.difference_out(one) for one in report.items), conflicts=conflicts
        )


def check_scope(prefix: tuple[str, ...]) -> Namespace:
    """The prefix, if it can be a scope's.

    Raises:
        InvalidNamespaceError: it is empty, no item can be filed below it, or it has the label `"*"`, which conditions of
            `list_namespaces` take for any label.
    """
    namespace = tuple(str(label) for label in check_namespace(prefix))
    if ANY_LABEL in namespace:
        raise InvalidNamespaceError(
            f"The scope {namespace!r} has the label '*', which stands for any label in conditions. Choose another.",
            part=ANY_LABEL,
        )
    return namespace
