from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typing_extensions import TypedDict

from perdure.config import get_config, get_store, get_stream_writer
from perdure.current import CURRENT
from perdure.errors import is_invalid_resume
from perdure.runtime import BaseUser, ExecutionInfo, RunControl, Runtime, ServerInfo, get_runtime
from perdure.types import Interrupt, answer_schema, checked_answer, interrupt


class Task:
    """A task that answers every question with the question."""

    def __init__(self) -> None:
        self.runtime = Runtime(context={"user": "ada"})
        self.store = None
        self.written: list[object] = []

    def ask(self, value: Any, response_schema: Any) -> Any:
        return value, response_schema

    def config(self) -> dict[str, Any]:
        return {"configurable": {"thread_id": "t"}}

    @property
    def writer(self) -> Callable[[Any], None]:
        return self.written.append


@pytest.fixture
def task() -> Iterator[Task]:
    running = Task()
    token = CURRENT.set(running)
    yield running
    CURRENT.reset(token)


ASK: dict[str, Callable[[], Any]] = {
    "interrupt": lambda: interrupt("why?"),
    "get_config": get_config,
    "get_store": get_store,
    "get_stream_writer": get_stream_writer,
    "get_runtime": get_runtime,
}


@pytest.mark.parametrize("name", ASK)
def test_asking_outside_a_task_is_an_error_that_names_who_asked(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"Called {name} outside of a runnable context"):
        ASK[name]()


def test_a_task_is_asked_by_whoever_runs_in_it(task: Task) -> None:
    assert interrupt("why?", response_schema={"type": "string"}) == ("why?", {"type": "string"})
    assert get_config() == {"configurable": {"thread_id": "t"}}
    assert get_store() is None
    assert get_runtime() is task.runtime
    get_stream_writer()("hello")
    assert task.written == ["hello"]


def test_a_thread_finds_its_task_if_it_is_given_the_context(task: Task) -> None:
    found: list[Any] = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(get_runtime)))

    thread.start()
    thread.join()

    assert found == [task.runtime]


# ---- interrupts


def test_an_interrupt_of_a_namespace_always_has_the_same_id() -> None:
    one, again, other = (Interrupt.from_ns(value, ns) for value, ns in [(1, "n:1"), (2, "n:1"), (1, "n:2")])

    assert one.id == again.id != other.id
    assert len(one.id) == 32
    assert set(one.id) <= set("0123456789abcdef")
    assert one.interrupt_id == one.id


def test_an_interrupt_is_a_frozen_value_that_can_be_in_a_set() -> None:
    question = Interrupt[int]({"ask": ["a", "list"]}, "1", response_schema=int)

    with pytest.raises(AttributeError):
        question.value = 2  # type: ignore[misc]  # that is the point
    assert question == Interrupt({"ask": ["a", "list"]}, "1", response_schema=int)
    assert len({question, Interrupt({}, "1")}) == 2
    assert Interrupt("x").id == "placeholder-id"


@dataclass
class AsDataclass:
    age: int


class AsTypedDict(TypedDict):
    age: int


def as_model() -> Any:
    from pydantic import BaseModel

    class AsModel(BaseModel):
        age: int

    return AsModel


SCHEMAS = [AsDataclass, AsTypedDict, as_model()]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_answer_becomes_what_its_schema_says(schema: Any) -> None:
    answer = checked_answer(schema, {"age": "7"})

    assert answer == (schema(age=7) if schema is not AsTypedDict else {"age": 7})
    shown = answer_schema(schema)
    assert shown is not None
    assert shown["properties"]["age"]["type"] == "integer"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_answer_that_does_not_match_is_an_invalid_resume(schema: Any) -> None:
    with pytest.raises(ValueError, match="age") as caught:
        checked_answer(schema, {"age": "old"})

    assert type(caught.value).__name__ == "ValidationError"
    assert is_invalid_resume(caught.value)


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_a_json_schema_is_shown_and_checks_nothing(schema: Any) -> None:
    assert checked_answer(schema, "anything") == "anything"
    assert answer_schema(schema) == schema


def test_a_checked_answer_without_pydantic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)

    with pytest.raises(RuntimeError, match="pip install pydantic"):
        checked_answer(AsDataclass, {"age": 1})


def test_the_lowest_rooms_import_no_optional_library() -> None:
    rooms = "types, errors, clock, constants, typing, warnings, version, current, config, runtime, channels, managed"
    code = (
        f"import sys; from perdure import {rooms}; "
        "print(sorted({'pydantic', 'numpy', 'langchain_core', 'cryptography', 'asyncio', 'sqlite3'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


# ---- runtime


def test_a_runtime_is_frozen_and_can_be_overridden() -> None:
    runtime = Runtime[int](context=1, previous="p")

    with pytest.raises(AttributeError):
        runtime.context = 2  # type: ignore[misc]  # that is the point
    assert runtime.override(context=2) == Runtime(context=2, previous="p")
    assert runtime.context == 1


def test_merging_takes_what_the_other_has_set() -> None:
    def speak(_: object) -> None: ...

    one = Runtime(context=1, stream_writer=speak, previous="p")
    other = Runtime(context=None, previous="q")

    assert one.merge(other) == Runtime(context=1, stream_writer=speak, previous="q")
    assert other.merge(one) == one


def test_a_runtime_outside_a_graph_can_still_be_written_to() -> None:
    runtime = Runtime()

    runtime.stream_writer("nobody listens")
    runtime.heartbeat()

    assert runtime.context is None
    assert (runtime.drain_requested, runtime.drain_reason) == (False, None)


def test_facts_about_the_execution_are_patched_one_by_one() -> None:
    runtime = Runtime(execution_info=ExecutionInfo("c1", "", "t1"))

    patched = runtime.patch_execution_info(node_attempt=2).execution_info

    assert patched == ExecutionInfo("c1", "", "t1", node_attempt=2)
    with pytest.raises(RuntimeError, match="before it has been set"):
        Runtime().patch_execution_info(node_attempt=2)


def test_a_drain_is_seen_through_the_runtime() -> None:
    control = RunControl()
    runtime = Runtime(control=control)
    assert not runtime.drain_requested

    control.request_drain("nightly")

    assert (runtime.drain_requested, runtime.drain_reason) == (True, "nightly")
    assert repr(control) == "<RunControl draining: nightly>"


def test_an_empty_reason_still_drains() -> None:
    control = RunControl()
    control.request_drain("")

    assert control.drain_requested


def test_a_user_is_whoever_looks_like_one() -> None:
    class Someone:
        is_authenticated = True
        display_name = "Ada"
        identity = "ada"
        permissions = ()

    assert isinstance(Someone(), BaseUser)
    assert ServerInfo("a", "g").user is None
