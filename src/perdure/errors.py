"""Every error of Perdure, and the signals that are none.

PerdureError
├── GraphRecursionError (RecursionError)   the step limit is reached
├── InvalidUpdateError                     writes that contradict each other, or cannot be written
├── EmptyChannelError                      a channel without a value was read
├── EmptyInputError                        there is nothing to run
├── TaskNotFound                           a task that the thread does not have
├── NodeTimeoutError                       an attempt took too long, or fell silent; not a TimeoutError
├── NodeCancelledError                     a node raised CancelledError by itself
├── UnknownInterruptError                  an answer that fits no pending question
├── Conflict                               someone else was first; nothing was written; read again and repeat
│   ├── StaleThread                        the thread moved on: this run is over
│   └── VersionConflict                    an item moved on: this task is tried again
├── Compacted                              the past asked for is no longer kept
├── EncodingError                          a value cannot be saved or read back; carries the path
│   └── ContractError                      a value is not what its memory contract says
├── ScopeError                             outside the view's prefix
├── QueryError (ValueError)                a filter or namespace that cannot be right; carries the part
├── EmbeddingError                         the embedding model failed; carries its name
└── StorageError                           the database refused or was lost
    ├── SchemaTooNew                       written by a newer Perdure; refused untouched
    └── Unavailable                        no answer in time; says whether it was written, or that this is unknown
        └── Busy                           somebody else holds the database's lock

GraphBubbleUp                              not an error: a signal on its way up, so `except PerdureError` lets it pass
├── GraphInterrupt                         a task asks a question
├── GraphDrained                           the run stopped because it was asked to
└── ParentCommand                          a command for the graph around this one

NodeError                                  a value: what an error handler is told; never raised

Facts are attributes, too: no program needs to read a message. `InvalidNamespaceError` lives in `store/base.py`.
Imports nothing of Perdure; anybody may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from perdure.types import Command, Interrupt

__all__ = [
    "Busy",
    "Compacted",
    "Conflict",
    "ContractError",
    "EmbeddingError",
    "EmptyChannelError",
    "EmptyInputError",
    "EncodingError",
    "ErrorCode",
    "GraphBubbleUp",
    "GraphDrained",
    "GraphInterrupt",
    "GraphRecursionError",
    "InvalidUpdateError",
    "NodeCancelledError",
    "NodeError",
    "NodeTimeoutError",
    "ParentCommand",
    "PerdureError",
    "QueryError",
    "SchemaTooNew",
    "ScopeError",
    "StaleThread",
    "StorageError",
    "TaskNotFound",
    "Unavailable",
    "UnknownInterruptError",
    "VersionConflict",
    "create_error_message",
    "is_invalid_resume",
    "mark_invalid_resume",
]

_E = TypeVar("_E", bound=BaseException)


class PerdureError(Exception):
    """Whatever Perdure itself raises. Can be copied and sent to another process with all its facts."""

    def __reduce__(self) -> tuple[Callable[..., PerdureError], tuple[Any, ...]]:
        """Rebuilt from text and attributes, because many of these errors take more than a text to make."""
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: type[PerdureError], args: tuple[Any, ...], facts: dict[str, Any]) -> PerdureError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


# ---- the field's errors


class ErrorCode(Enum):
    """Short names of the commonest mistakes. The texts of such errors end with a line that has the code."""

    GRAPH_RECURSION_LIMIT = "GRAPH_RECURSION_LIMIT"
    INVALID_CONCURRENT_GRAPH_UPDATE = "INVALID_CONCURRENT_GRAPH_UPDATE"
    INVALID_GRAPH_NODE_RETURN_VALUE = "INVALID_GRAPH_NODE_RETURN_VALUE"
    MULTIPLE_SUBGRAPHS = "MULTIPLE_SUBGRAPHS"
    INVALID_CHAT_HISTORY = "INVALID_CHAT_HISTORY"


def create_error_message(*, message: str, error_code: ErrorCode) -> str:
    """The message with a last line that names the code, for programs that match on it."""
    return f"{message}\nTroubleshooting: look up the error code {error_code.value}"


class GraphRecursionError(PerdureError, RecursionError):
    """The run took as many steps as its `recursion_limit` allows. What it did is saved and can be continued."""


class InvalidUpdateError(PerdureError):
    """Writes of a step that contradict each other, or that cannot be written at all."""


class EmptyChannelError(PerdureError):
    """A channel was read that has no value."""


class EmptyInputError(PerdureError):
    """There is nothing to run: no input, and no thread to continue."""


class TaskNotFound(PerdureError):
    """The task is not, or no longer, part of the thread's step."""


class NodeTimeoutError(PerdureError):
    """An attempt of a node took longer than its policy allows. Not a `TimeoutError`; may be retried.

    Attributes:
        node: the node's name.
        elapsed: seconds since the attempt began.
        kind: `"run"` for the whole attempt, `"idle"` for time without a sign of progress.
        timeout: the limit that was passed, in seconds; the one of `run_timeout` and `idle_timeout` that `kind` names.
    """

    def __init__(
        self,
        node: str,
        elapsed: float,
        *,
        kind: Literal["idle", "run"],
        idle_timeout: float | None = None,
        run_timeout: float | None = None,
    ) -> None:
        """Which limit, and how long it really took; times in seconds."""
        timeout = idle_timeout if kind == "idle" else run_timeout
        if timeout is None:
            raise ValueError(f"{kind}_timeout is needed for a timeout of kind {kind!r}")
        silence = " without making progress" if kind == "idle" else ""
        super().__init__(
            f"Node {node!r} exceeded its {kind} timeout of {timeout:.3f}s{silence} (elapsed: {elapsed:.3f}s)."
        )
        self.node = node
        self.elapsed = elapsed
        self.kind: Literal["idle", "run"] = kind
        self.idle_timeout = idle_timeout
        self.run_timeout = run_timeout
        self.timeout = timeout


class NodeCancelledError(PerdureError):
    """A node raised `asyncio.CancelledError` itself, though nobody had cancelled it."""

    def __init__(self, node: str, message: str | None = None) -> None:
        """Named after `node`; `message` replaces the usual text."""
        super().__init__(message or f"Node {node!r} raised asyncio.CancelledError, but nobody cancelled it.")
        self.node = node


class UnknownInterruptError(PerdureError):
    """An answer that fits no pending question. Nothing was changed.

    Attributes:
        reason: `"not_pending"`, `"empty_map"` or `"ambiguous"`.
        interrupt_ids: the ids that were answered.
        pending_ids: the ids that wait for an answer.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["not_pending", "empty_map", "ambiguous"],
        interrupt_ids: Sequence[str] = (),
        pending_ids: Sequence[str] = (),
    ) -> None:
        """With both lists of ids as tuples."""
        super().__init__(message)
        self.reason: Literal["not_pending", "empty_map", "ambiguous"] = reason
        self.interrupt_ids = tuple(interrupt_ids)
        self.pending_ids = tuple(pending_ids)


@dataclass(frozen=True)
class NodeError:
    """What an error handler gets as `error`: the node that failed, and what it raised."""

    node: str
    error: BaseException


_INVALID_RESUME = "__perdure_invalid_resume__"


def mark_invalid_resume(error: _E) -> _E:
    """The same error, from now on recognised by `is_invalid_resume`."""
    setattr(error, _INVALID_RESUME, True)
    return error


def is_invalid_resume(error: BaseException) -> bool:
    """True if an answer did not match its question's `response_schema`: nothing was saved, the question stands."""
    return getattr(error, _INVALID_RESUME, False) is True


# ---- signals


class GraphBubbleUp(Exception):
    """Something that user code must let pass. Outside `PerdureError`, never retried, never handled as a failure."""


class GraphInterrupt(GraphBubbleUp):
    """A task, or a graph that was called inside one, waits for answers."""

    def __init__(self, interrupts: Sequence[Interrupt] = ()) -> None:
        """With the open questions; `args[0]` has them, too."""
        super().__init__(interrupts)

    @property
    def interrupts(self) -> tuple[Interrupt, ...]:
        """The open questions."""
        return tuple(self.args[0])


class GraphDrained(GraphBubbleUp):
    """The run stopped before a step because `RunControl.request_drain` asked for it. Saved; continue with `None`."""

    def __init__(self, reason: str = "shutdown") -> None:
        """With the reason given to `request_drain`."""
        super().__init__(f"Graph drained: {reason}")
        self.reason = reason

    def __reduce__(self) -> tuple[type[GraphDrained], tuple[str]]:
        """Made again from its reason."""
        return type(self), (self.reason,)


class ParentCommand(GraphBubbleUp):
    """A `Command` for the graph around this one. Reaches the caller when there is none."""

    args: tuple[Command[Any]]

    def __init__(self, command: Command[Any]) -> None:
        """With the command as `args[0]`."""
        super().__init__(command)

    @property
    def command(self) -> Command[Any]:
        """The command."""
        return self.args[0]


# ---- ours


class Conflict(PerdureError):
    """Someone else was first. Nothing was written; read again and repeat."""


class StaleThread(Conflict):
    """The thread moved on while this run was at work: this run is over, nothing of its step was written.

    Attributes:
        thread: the thread's id.
        namespace: the chain within the thread, in its public form; `""` is the root.
        expected: the head this run knew, `None` if the thread was to be new.
        found: the head that stands now, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        thread: str | None = None,
        namespace: str = "",
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """What happened, and which heads differ."""
        super().__init__(message)
        self.thread = thread
        self.namespace = namespace
        self.expected = expected
        self.found = found


class VersionConflict(Conflict):
    """An item of the store does not have the version that the write expected. Nothing was written.

    Attributes:
        namespace, key: the item; of several, the first.
        expected: the version that was expected; `None` for "must not exist".
        found: the present version; `None` if there is no item, or it is not known.
        keys: all items that conflict, as `(namespace, key)`.
    """

    def __init__(
        self,
        message: str,
        *,
        namespace: tuple[str, ...] = (),
        key: str = "",
        expected: int | None = None,
        found: int | None = None,
        keys: Sequence[tuple[tuple[str, ...], str]] | None = None,
    ) -> None:
        """`keys` defaults to the one item named by `namespace` and `key`."""
        super().__init__(message)
        self.namespace = namespace
        self.key = key
        self.expected = expected
        self.found = found
        self.keys = ((namespace, key),) if keys is None else tuple(keys)


class Compacted(PerdureError):
    """The past asked for is no longer kept, so no exact answer is possible.

    Attributes:
        asked: the revision asked for, if any.
        oldest: the oldest revision that can still be read, if known.
    """

    def __init__(self, message: str, *, asked: str | None = None, oldest: str | None = None) -> None:
        """Both revisions in their public, opaque form."""
        super().__init__(message)
        self.asked = asked
        self.oldest = oldest


class EncodingError(PerdureError):
    """A value cannot be saved, or read back.

    Attributes:
        path: where in the value, e.g. `"state.docs[3].embedding"`.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        """The message should name the path as well."""
        super().__init__(message)
        self.path = path


class ContractError(EncodingError):
    """An item of the store is not what its contract says: when it is written, or when an older one is brought up to date.

    Attributes:
        namespace, key: the item.
        path: where in the value, e.g. `"value.age"`.
        expected: what the contract wants there.
        version: of the contract, as this program has it.
        written_under: the version that a stored item was written under, 0 for none; None: it was to be written now.
    """

    def __init__(
        self,
        message: str,
        *,
        namespace: tuple[str, ...] = (),
        key: str = "",
        path: str = "value",
        expected: str = "",
        version: int = 0,
        written_under: int | None = None,
    ) -> None:
        """The message names item and path, too, and says whether anything was written."""
        super().__init__(message, path=path)
        self.namespace = namespace
        self.key = key
        self.expected = expected
        self.version = version
        self.written_under = written_under


class ScopeError(PerdureError):
    """Something outside a scoped view of the store was asked for.

    Attributes:
        namespace: what was asked for.
        prefix: what the view is confined to.
    """

    def __init__(
        self, message: str, *, namespace: tuple[str, ...] = (), prefix: tuple[str, ...] = ()
    ) -> None:
        """Both as tuples of labels."""
        super().__init__(message)
        self.namespace = namespace
        self.prefix = prefix


class QueryError(PerdureError, ValueError):
    """A filter, query or namespace that cannot be right.

    Attributes:
        part: the operator, field or label at fault.
    """

    def __init__(self, message: str, *, part: str | None = None) -> None:
        """The message should name the part as well."""
        super().__init__(message)
        self.part = part


class EmbeddingError(PerdureError):
    """The embedding model failed, or gave what the store cannot use.

    Attributes:
        model: names the model and how the store uses it.
    """

    def __init__(self, message: str, *, model: str | None = None) -> None:
        """The message says whether anything was written."""
        super().__init__(message)
        self.model = model


class StorageError(PerdureError):
    """The database refused, or was lost.

    Attributes:
        operation: what was being done, e.g. `"commit"`.
        where: which database, without passwords.
        hint: what to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        """The hint becomes part of the text."""
        super().__init__(f"{message} {hint}" if hint else message)
        self.operation = operation
        self.where = where
        self.hint = hint


class SchemaTooNew(StorageError):
    """The database was written by a newer Perdure. It was not touched.

    Attributes:
        found: the schema's version in the database.
        known: the newest version that this Perdure knows.
    """

    def __init__(
        self,
        message: str,
        *,
        found: int | None = None,
        known: int | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        """The two versions, and which database."""
        super().__init__(message, operation="open", where=where, hint=hint)
        self.found = found
        self.known = known


class Unavailable(StorageError):
    """No answer in time, or the connection was lost.

    Attributes:
        written: False if nothing was written, True if all was, None if that is unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        written: bool | None = False,
        operation: str | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Nothing was written unless `written` says otherwise."""
        super().__init__(message, operation=operation, where=where, hint=hint)
        self.written = written


class Busy(Unavailable):
    """Somebody else holds the database's lock. Nothing was written, unless `written` says otherwise; try again later.

    Attributes:
        receipt: of a `forget` that could not scrub the files: what it deleted. Else None.
    """

    def __init__(
        self,
        message: str,
        *,
        written: bool | None = False,
        operation: str | None = None,
        where: str | None = None,
        hint: str | None = None,
        receipt: object = None,
    ) -> None:
        """As `Unavailable`."""
        super().__init__(message, written=written, operation=operation, where=where, hint=hint)
        self.receipt: Any = receipt
