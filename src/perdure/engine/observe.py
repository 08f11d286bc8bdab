"""Who watches runs and tasks: the observer port. Callbacks, traces and metrics come in here, and nowhere else.

An integration adds a function to `factories` when it is imported; nobody imports one by name. `INTEGRATIONS` says which is
loaded when: as soon as its library is there, or when a config has callbacks. Without an observer a run costs one look at
this table, a task one `is None`. Called by `run.py` and `execute.py`; what an observer does is the integration's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

from perdure.callbacks import GraphInterruptEvent, GraphLifecycleEvent, GraphResumeEvent
from perdure.engine.context import TASK_KEY, TaskContext

if TYPE_CHECKING:
    from perdure.engine.run import Run

Kind = Literal["graph", "task"]
LAST: Final[Any] = object()  # of `Span.end`: the output is the last chunk

# The module of a library -> our integration of it.
INTEGRATIONS: Final = {"langchain_core.callbacks.manager": "perdure.integrations.langchain"}


class Span(Protocol):
    """A run or a task, from its beginning to its end. Used by one thread at a time."""

    def chunk(self, value: Any) -> None:
        """Something came out."""
        ...

    async def end(self, output: Any = LAST) -> None:
        """It ended well, with this output or the last chunk."""
        ...

    async def fail(self, error: BaseException) -> None:
        """It ended with an error or a signal."""
        ...

    async def tell(self, event: GraphLifecycleEvent) -> None:
        """A run paused, or goes on."""
        ...

    def child_config(self) -> Mapping[str, Any]:
        """What the config handed to the task's code has instead of the run's: its `callbacks`."""
        ...

    def enter(self, config: dict[str, Any]) -> None:
        """Called in the task's own context before its code: code that is handed no config finds this one."""
        ...


class Observer(Protocol):
    """Watches one run. In a blocking run its coroutines never suspend; in an async run they may."""

    async def begin(
        self,
        kind: Kind,
        name: str,
        parent: Span | None,
        input: Any,
        *,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        run_id: str | None,
        blocking: bool,
    ) -> Span:
        """A run or a task begins.

        Args:
            kind: "graph" or "task".
            name: of the graph or the node.
            parent: of a task: its run; of a run: the task that called it, if any.
            input: what it was given.
            tags: of the config and the node.
            metadata: of the config, with `langgraph_*` for a task.
            run_id: the caller's own, for a run.
            blocking: it runs in a thread and must not suspend; the colour of a task may differ from its run's.
        """
        ...


factories: Final[list[Callable[[Any], Observer | None]]] = []
"""Called with a `Run` that begins; each gives an observer of it, or None."""

ambient: Final[list[Callable[[], Mapping[str, Any] | None]]] = []
"""Each gives the config that surrounds a call that was handed none, or None."""

_asked: set[str] = set()


def due(callbacks: Any) -> bool:
    """Whether somebody may want to watch. `callbacks`: of the run's config."""
    if factories or callbacks:
        return True
    for module in INTEGRATIONS:  # noqa: SIM110 - asked at every step: a generator costs four times as much
        if module in sys.modules:
            return True
    return False


def _load(callbacks: Any) -> None:
    for module, integration in INTEGRATIONS.items():
        if integration not in _asked and (callbacks or module in sys.modules):
            import_module(integration)
            _asked.add(integration)


# -- a run ---------------------------------------------------------------------------------------------------------


async def begin_run(run: Run, given: Any) -> None:
    """`run.span` is the run's span, if anybody watches."""
    settings = run.settings
    _load(settings.callbacks)
    observers = [observer for make in factories if (observer := make(run)) is not None]
    if not observers:
        return
    run.observer = observers[0] if len(observers) == 1 else _Several(observers)
    parent = run.parent
    inherited = parent is not None and settings.run_id == parent.run.settings.run_id
    run.span = await run.observer.begin(
        "graph",
        settings.run_name or run.spec.name,
        None if parent is None else parent.span,
        given,
        tags=settings.tags,
        metadata=settings.metadata,
        run_id=None if inherited else settings.run_id,
        blocking=run.ports.blocking,
    )


async def run_resumed(run: Run, span: Span) -> None:
    """The run goes on from a checkpoint."""
    await span.tell(GraphResumeEvent(None, "pending", run.chain.at, _path(run)))


async def run_ended(run: Run, span: Span) -> None:
    """The run came to rest; if it paused, that is told first."""
    if run.parent is None and (run.interrupts or run.status != "pending"):
        await span.tell(GraphInterruptEvent(None, run.status, run.chain.at, _path(run), run.interrupts))
    await span.end(run.output())


async def failed(span: Span, error: BaseException) -> None:
    """A run or a task ended with `error`, which the caller raises."""
    if not isinstance(error, GeneratorExit):  # nothing can be awaited any more
        await span.fail(error)


def _path(run: Run) -> tuple[str, ...]:
    ns: str = run.chain.ns
    return tuple(ns.split("|")) if ns else ()


# -- a task --------------------------------------------------------------------------------------------------------


async def observed(
    context: TaskContext, own: Context, blocking: bool, work: Callable[[], Any]
) -> Any:  # what `work` gives
    """One attempt of a task of a watched run: `work` gives its result, or the coroutine that does."""
    run, task = context.run, context.task
    observer = run.observer
    if observer is None or task.node.hidden:
        made = work()
        return made if blocking else await made
    from perdure.engine.execute import task_input

    context.span = span = await observer.begin(
        "task",
        task.name,
        run.span,
        task_input(run, task),
        tags=(*run.settings.tags, *task.node.tags),
        metadata=context.metadata(),
        run_id=None,
        blocking=blocking,
    )
    try:
        own.run(span.enter, context.config())
        made = work()
        result = made if blocking else await made
    except BaseException as error:
        await failed(span, error)
        raise
    await span.end()
    return result


# -- configs -------------------------------------------------------------------------------------------------------


def surroundings(inside: TaskContext | None) -> Mapping[str, Any] | None:
    """The config that a call inherits: of the task around it, or of what runs there within the task or without one."""
    own = inside.config() if inside is not None else None
    if not due(None):
        return own
    _load(None)
    found = next((config for look in ambient if (config := look()) is not None), None)
    if found is None:
        return own
    configurable: Mapping[str, Any] = found.get("configurable") or {}
    task = configurable.get(TASK_KEY)
    if inside is not None:
        return found if task is inside else own
    if task is not None:  # of a task that is not around this call: it goes to another thread
        return {"callbacks": found.get("callbacks")}
    return found


def joined_callbacks(before: Any, value: Any) -> Any:
    """Callbacks of an outer config and of an inner one: lists of handlers concatenate, a manager takes the others' in."""
    if before is value:
        return value
    listed = isinstance(before, list)
    if isinstance(value, list):
        added = cast("list[Any]", value)
        if listed:
            return [*cast("list[Any]", before), *added]
        manager: Any = before.copy()
    else:
        manager = value.copy()
        added = cast("list[Any]", before if listed else before.inheritable_handlers)
        if manager.parent_run_id is None and not listed:
            manager.parent_run_id = before.parent_run_id
    for handler in added:
        manager.add_handler(handler, True)
    return manager


# -- several observers ---------------------------------------------------------------------------------------------


class _Several:
    """Several observers as one; each sees its own spans only."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    async def begin(self, kind: Kind, name: str, parent: Span | None, input: Any, **facts: Any) -> Span:
        parents: Sequence[Span | None] = parent.spans if isinstance(parent, _Spans) else ()
        if len(parents) != len(self._observers):  # another run's, watched by others
            parents = [None] * len(self._observers)
        pairs = zip(self._observers, parents, strict=True)
        return _Spans([await observer.begin(kind, name, above, input, **facts) for observer, above in pairs])


class _Spans:
    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans

    def chunk(self, value: Any) -> None:
        for span in self.spans:
            span.chunk(value)

    async def end(self, output: Any = LAST) -> None:
        await _each(span.end(output) for span in self.spans)

    async def fail(self, error: BaseException) -> None:
        await _each(span.fail(error) for span in self.spans)

    async def tell(self, event: GraphLifecycleEvent) -> None:
        await _each(span.tell(event) for span in self.spans)

    def child_config(self) -> Mapping[str, Any]:
        return {key: value for span in self.spans for key, value in span.child_config().items()}

    def enter(self, config: dict[str, Any]) -> None:
        for span in self.spans:
            span.enter(config)


async def _each(calls: Any) -> None:
    for call in calls:
        await call
