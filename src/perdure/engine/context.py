"""What a running task may ask for: its store, its config, its runtime, the stream writer, answers to its questions.

One object an attempt. It is also the attempt's *gate*: once closed, whatever a surviving thread still does is dropped.
Here: `TaskContext`. Not here: running it (`execute.py`), the run it belongs to (`loop.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from perdure import clock
from perdure.constants import PUSH
from perdure.engine.staged import TaskStore
from perdure.engine.staged_foreign import ForeignTaskStore
from perdure.errors import GraphInterrupt
from perdure.runtime import ExecutionInfo, Runtime
from perdure.storage.ids import child_ns, interrupt_id
from perdure.storage.staging import Layer, Operation
from perdure.types import Interrupt

if TYPE_CHECKING:
    from perdure.engine.observe import Span
    from perdure.engine.run import Run
    from perdure.engine.state import Task

TASK_KEY: Final = (
    "__perdure_task__"  # where `config["configurable"]` carries the task, for `child.invoke(x, config)`
)
log = logging.getLogger("perdure.engine")


class TaskContext:
    """One attempt of one task."""

    __slots__ = (
        "_config", "_first_at", "_layer", "_lock", "_runtime", "_store", "answers", "asked", "attempt", "calls", "closed",
        "interrupted", "run", "span", "task",
    )  # fmt: skip

    def __init__(
        self, run: Run, task: Task, attempt: int, answers: list[Any], first_at: float | None
    ) -> None:
        self.run = run
        self.task = task
        self.attempt = attempt
        self.answers = answers  # kept over attempts: the same answers in the same order
        self.asked = 0
        self._first_at = first_at
        self.calls = 0  # graphs called so far
        self.closed = False
        self.interrupted: GraphInterrupt | None = None
        self.span: Span | None = None  # of a run that somebody watches
        self._layer: Layer | None = None
        self._lock: threading.RLock | None = None
        self._store: Any = None
        self._config: dict[str, Any] | None = None
        self._runtime: Runtime[Any] | None = None

    @property
    def lock(self) -> threading.RLock:
        """Held while the task's layer changes: user code may use threads of its own."""
        if self._lock is None:
            self._lock = threading.RLock()
        return self._lock

    @property
    def layer(self) -> Layer:
        """The attempt's staged memory."""
        if self._layer is None:
            self._layer = Layer()
        return self._layer

    @property
    def operations(self) -> list[Operation]:
        """What the attempt has staged, in order."""
        return [] if self._layer is None else self._layer.operations

    @property
    def first_at(self) -> float:
        """When the task's first attempt began, in seconds since 1970; read off the clock when somebody asks first."""
        if self._first_at is None:
            self._first_at = clock.micros() / 1e6
        return self._first_at

    # -- TaskHandle --------------------------------------------------------------------------------------------------

    def ask(self, value: Any, response_schema: Any) -> Any:
        """The answer to this task's next question; raises GraphInterrupt as long as there is none."""
        number = self.asked
        self.asked += 1
        if number < len(self.answers):
            return checked(response_schema, self.answers[number])
        id = interrupt_id(self.task.id, number)
        found, answer = self.run.book.take(id)
        if found:
            try:
                answer = checked(response_schema, answer)
            except Exception:
                self.run.book.give_back(id)
                raise
            self.answers.append(answer)
            return answer
        self.interrupted = GraphInterrupt((Interrupt(value, id, response_schema=shown(response_schema)),))
        raise self.interrupted

    @property
    def runtime(self) -> Runtime[Any]:
        """The task's `Runtime`."""
        if self._runtime is None:
            run = self.run
            self._runtime = Runtime(
                context=run.context,
                store=self.store,
                stream_writer=self.writer,
                execution_info=self._execution_info(),
                control=run.control,
            )
        return self._runtime

    def _execution_info(self) -> ExecutionInfo:
        chain = self.run.chain
        return ExecutionInfo(
            checkpoint_id=chain.at,
            checkpoint_ns=self.ns,
            task_id=self.task.id,
            thread_id=chain.thread,
            run_id=self.run.settings.run_id,
            node_attempt=self.attempt,
            node_first_attempt_time=self.first_at,
        )

    @property
    def ns(self) -> str:
        """The task's own namespace: where the first graph it calls has its chain."""
        return child_ns(self.task.ns, self.task.name, self.task.id, 0)

    @property
    def store(self) -> Any:
        """Memory as this task sees it; None if the graph has none."""
        if self._store is None:
            memory = self.run.memory
            if memory.backend is not None:
                store = TaskStore(self)
                self._store = store.scoped(memory.scope) if memory.scope else store
            elif memory.foreign:
                self._store = ForeignTaskStore(self)
        return self._store

    @property
    def writer(self) -> Callable[[Any], None]:
        """Sends one item to the run's `custom` stream; drops it if nobody listens, or the attempt is over."""
        return self._write

    def _write(self, item: Any) -> None:
        if self.closed:
            log.warning("node %r wrote to the stream after it had ended; dropped", self.task.name)
        else:
            self.run.write_custom(item)

    def config(self) -> dict[str, Any]:
        """The config, written out for the user: a dict of its own for every task."""
        if self._config is None:
            self._config = self._written_out()
        return self._config

    def metadata(self) -> dict[str, Any]:
        """The config's metadata, with what says where the task is."""
        task = self.task
        return {
            **self.run.settings.metadata,
            "langgraph_step": self.run.step,
            "langgraph_node": task.name,
            "langgraph_triggers": task.node.triggers if task.index is None else (PUSH,),
            "langgraph_path": task.path,
            "langgraph_checkpoint_ns": self.ns,
            **task.node.metadata,
        }

    def _written_out(self) -> dict[str, Any]:
        settings, chain = self.run.settings, self.run.chain
        configurable: dict[str, Any] = {
            **settings.configurable, "checkpoint_ns": self.ns, "checkpoint_id": None, TASK_KEY: self
        }  # fmt: skip
        if chain.thread is not None:
            configurable["thread_id"] = chain.thread
        config: dict[str, Any] = {
            "tags": list(settings.tags), "metadata": self.metadata(), "configurable": configurable,
            "recursion_limit": settings.recursion_limit, "callbacks": settings.callbacks,
        }  # fmt: skip
        if self.span is not None:
            config.update(self.span.child_config())
        if settings.max_concurrency is not None:
            config["max_concurrency"] = settings.max_concurrency
        return config

    # -- for the engine ----------------------------------------------------------------------------------------------

    def layers(self) -> Sequence[Layer]:
        """What this task sees over the committed items, outermost first."""
        return [*self.run.layers(), self.layer]

    def next_call(self) -> int:
        """The number of the next graph that this task calls."""
        with self.lock:
            number = self.calls
            self.calls += 1
        return number

    def close(self) -> None:
        """The attempt is over."""
        self.closed = True

    def wanted(self, what: str) -> Any:
        """What a parameter of the node is filled with."""
        match what:
            case "config":
                return self.config()
            case "runtime":
                return self.runtime
            case "store":
                return self.store
            case "writer":
                return self.writer
            case _:
                return None


def checked(schema: Any, answer: Any) -> Any:
    """The answer, if it fits what was asked for."""
    if schema is None:
        return answer
    from perdure.types.interrupts import checked_answer

    return checked_answer(schema, answer)


def shown(schema: Any) -> Any:
    """What an `Interrupt` shows of the expected answer."""
    if schema is None or isinstance(schema, dict):
        return schema  # pyright: ignore[reportUnknownVariableType] - a JSON schema
    from perdure.types.interrupts import answer_schema

    return answer_schema(schema)
