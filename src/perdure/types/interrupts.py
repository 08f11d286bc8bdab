"""Questions that a graph asks its caller: `interrupt` and `Interrupt`, and what an answer must look like.

Not here: pausing, matching and recording answers; the engine does that behind `TaskHandle.ask`.
Imports `current` and `errors`; pydantic only when an answer has a schema.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Generic, cast, overload

from typing_extensions import TypeVar

from perdure.current import current_task
from perdure.errors import mark_invalid_resume

__all__ = ["Interrupt", "answer_schema", "checked_answer", "interrupt"]

ResponseT = TypeVar("ResponseT", default=Any)
"""What an answer is."""


# No slots: on Python 3.11 a frozen, slotted dataclass cannot be made as `Interrupt[Answer](...)`.
@dataclass(frozen=True)
class Interrupt(Generic[ResponseT]):
    """A question that waits for its answer.

    Attributes:
        value: what is asked; any value that can be saved.
        id: 32 hex digits; `Command(resume={id: answer})` answers just this one.
        response_schema: what the answer must be: a JSON schema, or the class that checks it.
    """

    value: Any
    id: str = "placeholder-id"
    response_schema: type[ResponseT] | dict[str, Any] | None = field(default=None, kw_only=True)

    @classmethod
    def from_ns(
        cls,
        value: Any,  # noqa: ANN401 - a user's value
        ns: str,
        *,
        response_schema: type[ResponseT] | dict[str, Any] | None = None,
    ) -> Interrupt[ResponseT]:
        """The question with the id that belongs to this namespace: the same whenever it is asked there."""
        digest = hashlib.blake2b(ns.encode("utf-8", "surrogatepass"), digest_size=16)
        return cls(value, digest.hexdigest(), response_schema=response_schema)

    @property
    def interrupt_id(self) -> str:
        """The id, by its older name."""
        return self.id

    def __hash__(self) -> int:
        """By id, so that a question about a list can be in a set."""
        return hash(self.id)


@overload
def interrupt(value: Any, *, response_schema: type[ResponseT]) -> ResponseT: ...  # noqa: ANN401 - a user's value
@overload
def interrupt(value: Any, *, response_schema: dict[str, Any] | None = None) -> Any: ...  # noqa: ANN401 - a user's value
def interrupt(value: Any, *, response_schema: type[Any] | dict[str, Any] | None = None) -> Any:
    """The answer to this question, once somebody has given it.

    The first call without an answer stops the task and pauses the run; what the task has written so far is dropped.
    On resume the node runs again from its start, and its n-th call gets its n-th answer: so keep calls in the same
    order, and effects on the outside world after them.

    Args:
        value: the question; any value that can be saved.
        response_schema: what the answer must be. A JSON schema is shown to the caller; a pydantic model, dataclass or
            TypedDict checks the answer as well, and this call returns it as such.

    Raises:
        RuntimeError: no task runs in this context.
        GraphInterrupt: the pause itself; let it pass.
        pydantic.ValidationError: the answer does not match; the question stays open (`is_invalid_resume`).
    """
    return current_task("interrupt").ask(value, response_schema)


def answer_schema(schema: type[Any] | dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON schema of an answer, as the caller is shown it; None if there is none."""
    if schema is None or isinstance(schema, dict):
        return schema
    return _adapter(schema).json_schema()


def checked_answer(schema: type[Any] | dict[str, Any] | None, answer: Any) -> Any:  # noqa: ANN401 - a user's value
    """The answer as its schema makes it; unchanged where a JSON schema or nothing was given.

    Raises:
        pydantic.ValidationError: it does not match; marked for `is_invalid_resume`.
    """
    if schema is None or isinstance(schema, dict):
        return answer
    adapter = _adapter(schema)
    from pydantic import ValidationError

    try:
        return adapter.validate_python(answer)
    except ValidationError as error:
        raise mark_invalid_resume(error)  # noqa: B904 - the same error, marked


def _adapter(schema: type[Any]) -> Any:  # noqa: ANN401 - pydantic's TypeAdapter, imported only here
    try:
        from pydantic import TypeAdapter
    except ImportError as error:
        raise RuntimeError(
            f"response_schema={schema!r} needs pydantic, which is not installed: `pip install pydantic`, "
            "or give a JSON schema as a dict."
        ) from error
    return cast("Any", TypeAdapter(schema))
