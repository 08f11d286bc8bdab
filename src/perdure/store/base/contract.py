"""A memory contract as a user writes it: for which items, what they look like, in which version.

Here: the value, and what can be said of it without looking into the schema. Not here: how a schema is checked, which
contract an item has (`storage/contracts/`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from perdure.errors import QueryError
from perdure.store.base.ops import check_labels

__all__ = ["ANY_LABEL", "ANY_LABELS", "Contract", "Migrate"]

ANY_LABEL: Final = "*"
ANY_LABELS: Final = "**"
_MOST: Final = (1 << 31) - 1

Migrate: TypeAlias = Callable[[dict[str, Any], int], Mapping[str, Any]]
"""A value and the version of the contract that it was written under (0: under none) to a value of the present version."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What the items of some namespaces look like. Give it to a store: `contracts=[Contract(...)]`.

    What is put there is checked; what does not fit is a `ContractError`, and nothing is written. Items remember the version
    that they were written under; when an older one is read, `migrate` brings it up to date.

    Attributes:
        namespace: which items: labels, of which `"*"` is any one and `"**"`, at most once, any number of them. Of several
            contracts for one namespace that one holds which is more exact at the first label where they differ: a label
            before `"*"`, `"*"` before `"**"`.
        schema: a pydantic model, a TypedDict or a dataclass.
        version: of the schema, from 1.
        migrate: `migrate(value, version)` gives the value as this version has it, of one that was written under an older
            one; 0: under no contract. Pure: it is called at every read of such an item, in any thread. None: older values
            are taken as they are, if they fit.

    Raises:
        QueryError: a part that cannot be right; `part` names it.
    """

    namespace: tuple[str, ...]
    schema: type[Any]
    version: int = 1
    migrate: Migrate | None = None

    def __post_init__(self) -> None:
        """Looks at everything but the schema's own parts."""
        labels = check_labels(self.namespace)
        if not labels or labels.count(ANY_LABELS) > 1:
            raise QueryError(
                f"contract for {labels!r}: give at least one label, and '**' at most once, such as ('users', '*', 'profile').",
                part="namespace",
            )
        object.__setattr__(self, "namespace", labels)
        version = cast("object", self.version)
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= _MOST:
            raise QueryError(
                f"contract for {labels!r}: version={version!r}: give an integer from 1 on; 0 is what was written under no"
                " contract.",
                part="version",
            )
        migrate: object = self.migrate
        if migrate is not None and not callable(migrate):
            raise QueryError(f"contract for {labels!r}: migrate={migrate!r} is no function.", part="migrate")
        if inspect.iscoroutinefunction(migrate):
            raise QueryError(
                f"contract for {labels!r}: migrate is async; it is called wherever an item is read, so give an ordinary"
                " function.",
                part="migrate",
            )
        if not isinstance(self.schema, type):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise QueryError(
                f"contract for {labels!r}: schema={self.schema!r}: give a class: a pydantic model, a TypedDict or a dataclass.",
                part="schema",
            )
