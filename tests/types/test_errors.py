from __future__ import annotations

import copy
from typing import Any

import pytest

from perdure import errors
from perdure.errors import (
    Busy,
    Compacted,
    Conflict,
    ContractError,
    EmbeddingError,
    EmptyChannelError,
    EmptyInputError,
    EncodingError,
    ErrorCode,
    GraphBubbleUp,
    GraphDrained,
    GraphInterrupt,
    GraphRecursionError,
    InvalidUpdateError,
    NodeCancelledError,
    NodeError,
    NodeTimeoutError,
    ParentCommand,
    PerdureError,
    QueryError,
    SchemaTooNew,
    ScopeError,
    StaleThread,
    StorageError,
    TaskNotFound,
    Unavailable,
    UnknownInterruptError,
    VersionConflict,
    create_error_message,
    is_invalid_resume,
    mark_invalid_resume,
)
from perdure.types import Command, Interrupt

ERRORS: list[PerdureError] = [
    GraphRecursionError("limit"),
    InvalidUpdateError("two writes"),
    EmptyChannelError("nothing"),
    EmptyInputError("nothing to run"),
    TaskNotFound("t1"),
    NodeTimeoutError("n", 0.1, kind="run", run_timeout=0.05),
    NodeCancelledError("n"),
    UnknownInterruptError("which?", reason="ambiguous", pending_ids=["a", "b"]),
    Conflict("first"),
    StaleThread("moved on", thread="t", expected="1", found="2"),
    VersionConflict("moved on", namespace=("a",), key="k", expected=1, found=2),
    Compacted("gone", asked="1.1", oldest="1.5"),
    EncodingError("cannot be saved", path="state.x"),
    ContractError(
        "not so", namespace=("a",), key="k", path="value.x", expected="an int", version=2, written_under=1
    ),
    ScopeError("outside", namespace=("a",), prefix=("b",)),
    QueryError("no such operator", part="$like"),
    EmbeddingError("no answer from the model", model="m"),
    StorageError("refused", operation="commit", where="agent.db", hint="Free some space."),
    SchemaTooNew("too new", found=9, known=1),
    Unavailable("no answer", written=None),
    Busy("locked"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_text_and_its_facts_when_it_is_copied(error: PerdureError) -> None:
    twin = copy.copy(error)

    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)


def test_every_error_of_the_tree_is_tried_here() -> None:
    kinds = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PerdureError)
    }

    assert kinds - {PerdureError} == {type(error) for error in ERRORS}


def test_the_sign_on_the_door_shows_the_whole_tree() -> None:
    for name in errors.__all__:
        if isinstance(getattr(errors, name), type) and name != "ErrorCode":
            assert name in str(errors.__doc__)


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (GraphRecursionError, (RecursionError,)),
        (QueryError, (ValueError,)),
        (StaleThread, (Conflict,)),
        (VersionConflict, (Conflict,)),
        (Unavailable, (StorageError,)),
        (SchemaTooNew, (StorageError,)),
    ],
)
def test_errors_have_the_bases_that_programs_catch(kind: type, bases: tuple[type, ...]) -> None:
    assert issubclass(kind, (PerdureError, *bases))
    assert all(issubclass(kind, base) for base in bases)


@pytest.mark.parametrize("signal", [GraphInterrupt(()), GraphDrained("stop"), ParentCommand(Command())])
def test_a_signal_is_not_caught_as_an_error(signal: Exception) -> None:
    assert isinstance(signal, GraphBubbleUp)
    assert not isinstance(signal, PerdureError)


def test_signals_carry_what_they_are_about() -> None:
    question, command = Interrupt("why?", "1"), Command[Any](graph=Command.PARENT)

    assert GraphInterrupt((question,)).args == ((question,),)
    assert GraphInterrupt((question,)).interrupts == (question,)
    assert GraphInterrupt().interrupts == ()
    assert ParentCommand(command).args == (command,)
    assert ParentCommand(command).command is command
    assert GraphDrained("nightly").reason == "nightly"
    assert copy.copy(GraphDrained("nightly")).reason == "nightly"
    assert GraphDrained().reason == "shutdown"


@pytest.mark.parametrize("code", ErrorCode)
def test_a_message_with_a_code_ends_with_a_line_that_names_it(code: ErrorCode) -> None:
    text = create_error_message(message="What happened.", error_code=code)

    assert text.startswith("What happened.\n")
    assert code.name in text.splitlines()[-1]
    assert code.value == code.name


def test_a_run_timeout_says_which_limit_was_passed_and_is_no_timeout_error() -> None:
    error = NodeTimeoutError("x", 0.0512, kind="run", run_timeout=0.05)

    assert str(error).startswith("Node 'x' exceeded its run timeout of 0.050s (elapsed: 0.051s)")
    assert (error.node, error.kind, error.timeout) == ("x", "run", 0.05)
    assert (error.run_timeout, error.idle_timeout, error.elapsed) == (0.05, None, 0.0512)
    assert not isinstance(error, TimeoutError)


def test_an_idle_timeout_says_that_there_was_no_progress() -> None:
    error = NodeTimeoutError("x", 3, kind="idle", idle_timeout=2, run_timeout=10)

    assert "idle timeout of 2.000s without making progress" in str(error)
    assert error.timeout == 2


def test_a_timeout_without_its_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="idle_timeout is needed"):
        NodeTimeoutError("x", 3, kind="idle", run_timeout=10)


def test_a_version_conflict_of_one_item_lists_that_item() -> None:
    assert VersionConflict("moved on", namespace=("a",), key="k").keys == ((("a",), "k"),)
    assert VersionConflict("moved on", keys=[(("a",), "k"), (("b",), "l")]).keys == (
        (("a",), "k"),
        (("b",), "l"),
    )


def test_the_hint_of_a_storage_error_is_part_of_its_text() -> None:
    assert (
        str(StorageError("The disk is full.", hint="Nothing was written."))
        == "The disk is full. Nothing was written."
    )


def test_only_a_marked_error_is_an_invalid_resume() -> None:
    error = ValueError("not a number")

    assert not is_invalid_resume(error)
    assert mark_invalid_resume(error) is error
    assert is_invalid_resume(error)


def test_what_an_error_handler_is_told_is_frozen() -> None:
    told = NodeError("n", ValueError("x"))

    with pytest.raises(AttributeError):
        told.node = "m"  # type: ignore[misc]  # that is the point
