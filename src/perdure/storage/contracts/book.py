"""All contracts of a store: which one an item has, what is checked when it is written, what readers get of an older one.

Here: `Contracts`. Not here: what a type checks (`shapes.py`, `models.py`), bytes (`marks.py`), rewriting (`rewriting.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Final

from perdure.errors import ContractError, EncodingError, QueryError
from perdure.storage.contract import Namespace
from perdure.storage.contracts.marks import marked
from perdure.storage.contracts.models import is_model, text_problem
from perdure.storage.contracts.shapes import Problem, shape_of
from perdure.storage.item_json import json_of
from perdure.store.base.contract import ANY_LABEL, ANY_LABELS, Contract

__all__ = ["Agreed", "Contracts", "contracts_of"]

_REMEMBERED: Final = 4096  # namespaces
_EXACT, _ANY, _END, _MANY = (
    3,
    2,
    1,
    0,
)  # how exact a label of a pattern is; its end, beside a pattern that goes on


class Agreed:
    """One contract, ready to be used. Immutable; safe from any thread.

    Attributes:
        version: of the contract.
        name: of its schema.
    """

    __slots__ = ("_check", "_contract", "name", "rank", "version")

    def __init__(self, contract: Contract) -> None:
        """Raises QueryError: the schema has a part that cannot be checked."""
        self._contract = contract
        self._check = _check_of(contract.schema)
        self.version = contract.version
        self.name = contract.schema.__name__
        self.rank = (
            *(
                _MANY if label == ANY_LABELS else _ANY if label == ANY_LABEL else _EXACT
                for label in contract.namespace
            ),
            _END,
        )

    def __repr__(self) -> str:
        return f"<contract {self.name} version {self.version} for {self._contract.namespace!r}>"

    def holds_for(self, namespace: Namespace) -> bool:
        """Whether its pattern means this namespace."""
        pattern = self._contract.namespace
        if ANY_LABELS not in pattern:
            return _alike(pattern, namespace)
        middle = pattern.index(ANY_LABELS)
        front, back = pattern[:middle], pattern[middle + 1 :]
        if len(namespace) < len(front) + len(back):
            return False
        return _alike(front, namespace[:middle]) and _alike(back, namespace[len(namespace) - len(back) :])

    @property
    def migrates(self) -> bool:
        """Whether it brings older values up to date."""
        return self._contract.migrate is not None

    def migrates_below(self, prefix: Namespace) -> bool:
        """Whether it brings items up to date that may lie in this subtree."""
        if not self.migrates:
            return False
        pattern = self._contract.namespace
        front = pattern[: pattern.index(ANY_LABELS)] if ANY_LABELS in pattern else pattern
        size = min(len(front), len(prefix))
        may = len(prefix) <= len(pattern) or ANY_LABELS in pattern
        return may and _alike(front[:size], prefix[:size])

    def check(self, namespace: Namespace, key: str, value: object, text: bytes) -> None:
        """Passes what may be written there.

        Raises:
            ContractError: the value does not fit.
        """
        problem = self._check(value, text)
        if problem is not None:
            raise self._error(namespace, key, problem, None, "Nothing was written.")

    def current(self, namespace: Namespace, key: str, value: dict[str, Any], version: int) -> dict[str, Any]:
        """The value, written under an older version, as this one has it.

        Raises:
            ContractError: `migrate` failed, or what it gave does not fit.
        """
        migrate = self._contract.migrate
        if migrate is None:
            problem = self._check(value, json_of(value))
            if problem is not None:
                hint = "Give the contract a migrate=, which makes the new value of the old one."
                raise self._error(namespace, key, problem, version, hint)
            return value
        try:
            made = migrate(value, version)
            text = json_of(made)
        except EncodingError as error:
            raise self._failed(namespace, key, version, f"gave what cannot be saved: {error}") from error
        except Exception as error:
            raise self._failed(namespace, key, version, f"raised {error!r}") from error
        problem = self._check(made, text)
        if problem is not None:
            raise self._error(namespace, key, problem, version, "That is what migrate made of it.")
        return dict(made)

    def too_new(self, namespace: Namespace, key: str, version: int) -> ContractError:
        """The error for an item of a version that this program does not know."""
        return ContractError(
            f"item {key!r} in {namespace!r} was written under version {version} of its contract; this program knows"
            f" version {self.version} ({self.name}). It was not read. Run the newer program, or give its Contract.",
            namespace=namespace,
            key=key,
            version=self.version,
            written_under=version,
        )

    def _failed(self, namespace: Namespace, key: str, version: int, how: str) -> ContractError:
        return ContractError(
            f"item {key!r} in {namespace!r}, written under {_under(version)}, cannot be brought to version {self.version} of"
            f" its contract ({self.name}): migrate {how}",
            namespace=namespace,
            key=key,
            version=self.version,
            written_under=version,
        )

    def _error(
        self, namespace: Namespace, key: str, problem: Problem, version: int | None, after: str
    ) -> ContractError:
        path = f"value{problem.path}"
        before = "" if version is None else f", written under {_under(version)}"
        return ContractError(
            f"item {key!r} in {namespace!r}{before}: {path} is {problem.found}; its contract ({self.name}, version"
            f" {self.version}) wants {problem.expected}. {after}",
            namespace=namespace,
            key=key,
            path=path,
            expected=problem.expected,
            version=self.version,
            written_under=version,
        )


class Contracts:
    """The contracts of a store. Safe from any thread.

    Args:
        agreed: in any order; no two with one pattern.
    """

    __slots__ = ("_agreed", "_known")

    def __init__(self, agreed: Iterable[Agreed]) -> None:
        self._agreed = sorted(agreed, key=lambda one: one.rank, reverse=True)
        self._known: dict[Namespace, Agreed | None] = {}

    def __repr__(self) -> str:
        return f"<Contracts {self._agreed!r}>"

    def of(self, namespace: Namespace) -> Agreed | None:
        """The contract of items that are filed there; None: they have none."""
        try:
            return self._known[namespace]
        except KeyError:
            if len(self._known) >= _REMEMBERED:
                self._known = {}
            found = next((one for one in self._agreed if one.holds_for(namespace)), None)
            self._known[namespace] = found
            return found

    def migrates(self, namespace: Namespace) -> bool:
        """Whether an item that is filed there may be read otherwise than it was written."""
        agreed = self.of(namespace)
        return agreed is not None and agreed.migrates

    def migrate_below(self, prefix: Namespace) -> bool:
        """Whether items of the subtree may be read otherwise than they were written."""
        return any(one.migrates_below(prefix) for one in self._agreed)

    def signed(self, namespace: Namespace, key: str, value: object, text: bytes) -> bytes:
        """The text as it is stored: with the version of its contract, if it has one.

        Raises:
            ContractError: the value does not fit.
        """
        agreed = self.of(namespace)
        if agreed is None:
            return text
        agreed.check(namespace, key, value, text)
        return marked(agreed.version, text)

    def current(self, namespace: Namespace, key: str, value: dict[str, Any], version: int) -> dict[str, Any]:
        """The value, written under that version (0: of none), as its contract has it now; as it is if it has none.

        Raises:
            ContractError: it cannot be brought to the present version, or is of a later one.
        """
        agreed = self.of(namespace)
        if agreed is None or version == agreed.version:
            return value
        if version > agreed.version:
            raise agreed.too_new(namespace, key, version)
        return agreed.current(namespace, key, value, version)

    def check_as(self, namespace: Namespace, key: str, value: dict[str, Any], version: int) -> None:
        """Passes a value that was written elsewhere under that version, if it fits the contract or can be brought to it.

        Raises:
            ContractError: it does not, or is of a later version.
        """
        agreed = self.of(namespace)
        if agreed is None:
            return
        if version == agreed.version:
            agreed.check(namespace, key, value, json_of(value))
        else:
            self.current(namespace, key, deepcopy(value), version)


def contracts_of(given: Iterable[Contract] | Contracts | None) -> Contracts | None:
    """The contracts of a store that was opened with these; None: it has none. Done again, it changes nothing.

    Raises:
        QueryError: one that cannot be right, or two for the same namespaces.
    """
    if given is None or isinstance(given, Contracts):
        return given
    if isinstance(given, Contract):
        raise QueryError("contracts= is one Contract; give a list of them.", part="contracts")
    agreed: dict[tuple[str, ...], Agreed] = {}
    for contract in given:
        if not isinstance(contract, Contract):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise QueryError(
                f"contracts= holds {contract!r}, a {type(contract).__name__}; give perdure.Contract objects.",
                part="contracts",
            )
        if contract.namespace in agreed:
            raise QueryError(f"contracts= has two for {contract.namespace!r}; give one.", part="contracts")
        agreed[contract.namespace] = Agreed(contract)
    return Contracts(agreed.values()) if agreed else None


def _check_of(schema: type[Any]) -> Callable[[object, bytes], Problem | None]:
    if is_model(schema):

        def by_pydantic(value: object, text: bytes) -> Problem | None:
            del value
            found = text_problem(schema, text)
            return None if found is None else Problem(*found)

        return by_pydantic
    shape = shape_of(schema)
    return lambda value, text: shape.check(value)


def _alike(pattern: tuple[str, ...], labels: Namespace) -> bool:
    return len(pattern) == len(labels) and all(
        want in (ANY_LABEL, label) for want, label in zip(pattern, labels, strict=True)
    )


def _under(version: int) -> str:
    return f"version {version}" if version else "no contract"
