"""A compiled graph: the object that runs. One engine under both colours; a blocking method never needs a loop."""

from __future__ import annotations

import copy as copying
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Self, cast

from perdure.constants import INTERRUPT
from perdure.engine.async_ports import AsyncPorts
from perdure.engine.blocking_ports import BlockingPorts
from perdure.engine.driving import Item, drive, forward, to_the_end
from perdure.engine.run import Run
from perdure.engine.settings import checked_config, merge_configs
from perdure.errors import PerdureError
from perdure.graph.spec import GraphSpec
from perdure.pregel.launch import free, launch, occupied
from perdure.pregel.printing import printed
from perdure.pregel.runnable import RunnableFace
from perdure.pregel.threads import ThreadMethods
from perdure.typing import ContextT, InputT, OutputT, StateT

MODES: Final = ("values", "updates", "custom", "checkpoints", "tasks", "debug")
LATER_MODES: Final = ("messages", "tools")


class CompiledGraph(RunnableFace[InputT, OutputT], ThreadMethods, Generic[StateT, ContextT, InputT, OutputT]):
    """A graph that can be run. Made by `StateGraph.compile`; safe to use from any thread and any event loop.

    Attributes:
        name: of the graph.
        checkpointer: where threads are kept: a saver, None, or False.
        store: memory across threads, or None.
        memory_scope: the part of it that nodes see, as a template; None: all.
        stream_mode: what `stream` yields if the call does not say.
    """

    __perdure_graph__ = True
    memory_scope: tuple[str, ...] | None = None

    def __init__(
        self,
        spec: GraphSpec,
        *,
        checkpointer: Any = None,
        store: Any = None,
        config: Mapping[str, Any] | None = None,
        stream_mode: str = "updates",
        debug: bool = False,
    ) -> None:
        self.spec = spec
        self.checkpointer = checkpointer
        self.store = store
        self.config: dict[str, Any] = dict(config or {})
        self.stream_mode = stream_mode
        self.debug = debug

    def __repr__(self) -> str:
        nodes = [name for name, node in self.spec.nodes.items() if not node.hidden]
        kept = type(self.checkpointer).__name__ if self.checkpointer else "no checkpointer"
        return f"<{type(self).__name__} {self.name!r}, nodes {', '.join(nodes)}; {kept}>"

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.spec.name

    @property
    def nodes(self) -> Mapping[str, Any]:
        """The nodes by name, `__start__` included."""
        return self.spec.nodes

    @property
    def channels(self) -> Mapping[str, Any]:
        """The channels by name."""
        return self.spec.channels

    def with_config(self, config: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """A copy of the graph with this config bound; a call's own config wins over it."""
        made = copying.copy(self)
        made.config = merge_configs(self.config, checked_config(config), checked_config(kwargs))
        return made

    def copy(self, update: Mapping[str, Any] | None = None) -> Self:
        """A copy of the graph with attributes replaced, e.g. `{"store": store}`."""
        made = copying.copy(self)
        for name, value in (update or {}).items():
            if not hasattr(made, name):
                raise AttributeError(f"a compiled graph has no attribute {name!r}")
            setattr(made, name, value)
        return made

    # -- running -----------------------------------------------------------------------------------------------------

    def invoke(
        self,
        input: InputT | Any,
        config: Mapping[str, Any] | None = None,
        *,
        context: ContextT | Any = None,
        stream_mode: Any = "values",
        print_mode: Any = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        durability: str | None = None,
        memory: str | None = None,
        control: Any = None,
        version: str = "v1",
        **kwargs: Any,
    ) -> Any:
        """The state when the run has come to rest: the output schema's keys; with open questions `__interrupt__`, too.

        Args:
            input: new input; None to go on where the thread stopped; a `Command` to answer, update or jump.
            config: `configurable.thread_id` names the thread (needed with a checkpointer); also `tags`, `metadata`,
                `recursion_limit`, `max_concurrency`, `callbacks`.
            context: what nodes find as `runtime.context`; a dict becomes the graph's `context_schema`.
            stream_mode: other than "values": the result is the list of chunks of that stream.
            print_mode: stream modes that are also printed.
            output_keys: return these keys instead; a string gives the bare value.
            interrupt_before: node names (or "*") to stop before; replaces those of `compile`.
            interrupt_after: node names (or "*") to stop after.
            durability: "sync": a step is durable before the next begins; "async" (default): at most 16 are on their
                way; "exit": one commit at the end.
            memory: "as_of": nodes read memory across threads as it was at the checkpoint that `config` names, plus what
                this run has written since. Their writes go to live memory, if nobody else has written there since.
            control: a `RunControl`, to ask the run to stop between steps.
            version: "v2" gives a `GraphOutput` with value and interrupts apart.
            **kwargs: passed on to `stream`.

        Raises:
            GraphRecursionError: the step limit was reached; what was done is saved.
            EmptyInputError: there is nothing to go on with.
            InvalidUpdateError: writes that contradict each other.
            StaleThread: somebody else moved the thread; nothing of this step was written.
            VersionConflict: an item moved on; with `memory="as_of"` its `keys` are all that others wrote since.
            Whatever a node raises, unchanged, with a note that names the task.
        """
        if stream_mode != "values":
            keys = self.spec.output_keys if output_keys is None else output_keys
            return list(
                self.stream(
                    input, config, context=context, stream_mode=stream_mode, print_mode=print_mode, output_keys=keys,
                    interrupt_before=interrupt_before, interrupt_after=interrupt_after, durability=durability,
                    memory=memory, control=control, version=version, **kwargs,
                )
            )  # fmt: skip
        plan = self._unheard(print_mode, version, kwargs)
        run = launch(
            self, config, BlockingPorts(), context=context, durability=durability, memory=memory, control=control,
            modes=plan.modes,
            interrupt_before=interrupt_before, interrupt_after=interrupt_after, output_keys=_keys(output_keys),
        )  # fmt: skip
        if isinstance(plan, _Streaming):
            for _ in self._stream(run, plan, input):
                pass
            return _result(run, version)
        with occupied(run) as mark:
            try:
                drive(run.go(input))
                _keep(run)
            finally:
                free(mark, None)
        return _result(run, version)

    async def ainvoke(
        self,
        input: InputT | Any,
        config: Mapping[str, Any] | None = None,
        *,
        context: ContextT | Any = None,
        stream_mode: Any = "values",
        print_mode: Any = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        durability: str | None = None,
        memory: str | None = None,
        control: Any = None,
        version: str = "v1",
        **kwargs: Any,
    ) -> Any:
        """As `invoke`, on the caller's event loop: async nodes run there, sync nodes in worker threads."""
        if stream_mode != "values":
            keys = self.spec.output_keys if output_keys is None else output_keys
            return [
                chunk
                async for chunk in self.astream(
                    input, config, context=context, stream_mode=stream_mode, print_mode=print_mode, output_keys=keys,
                    interrupt_before=interrupt_before, interrupt_after=interrupt_after, durability=durability,
                    memory=memory, control=control, version=version, **kwargs,
                )
            ]  # fmt: skip
        plan = self._unheard(print_mode, version, kwargs)
        run = launch(
            self, config, AsyncPorts(), context=context, durability=durability, memory=memory, control=control,
            modes=plan.modes,
            interrupt_before=interrupt_before, interrupt_after=interrupt_after, output_keys=_keys(output_keys),
        )  # fmt: skip
        if isinstance(plan, _Streaming):
            async for _ in self._astream(lambda: run, plan, input):
                pass
            return _result(run, version)
        async with occupied(run):
            await run.go(input)
            _keep(run)
        return _result(run, version)

    def _unheard(self, print_mode: Any, version: str, options: dict[str, Any]) -> _Streaming | _Silent:
        """What `invoke` streams: nothing, or what is printed."""
        if version == "v1" and not (print_mode or options or self.debug):
            return _SILENT
        return _Streaming(self, [], print_mode, version=version, **options)

    # -- streaming ---------------------------------------------------------------------------------------------------

    def stream(
        self,
        input: InputT | Any,
        config: Mapping[str, Any] | None = None,
        *,
        context: ContextT | Any = None,
        stream_mode: Any = None,
        print_mode: Any = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        durability: str | None = None,
        memory: str | None = None,
        control: Any = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: str = "v1",
    ) -> Iterator[Any]:
        """What happens, as it happens: payloads of one mode, or `(mode, payload)` for a list of modes.

        Modes: `values` (the state after each step), `updates` (what each node wrote), `custom` (what nodes send to the
        stream writer, at once), `tasks`, `checkpoints`, `debug`. A consumer that stops early ends the run after the step
        in progress; what was committed stays and the thread can be continued. Other arguments: see `invoke`.
        """
        plan = _Streaming(self, stream_mode, print_mode, subgraphs, version, debug)
        run = launch(
            self, config, BlockingPorts(), context=context, durability=durability, memory=memory, control=control,
            modes=plan.modes,
            interrupt_before=interrupt_before, interrupt_after=interrupt_after, output_keys=_keys(output_keys),
        )  # fmt: skip
        return self._stream(run, plan, input)

    def _stream(self, run: Run, plan: _Streaming, input: Any) -> Iterator[Any]:
        with occupied(run) as mark:
            coro = run.go(input)
            ended = False
            try:
                while True:
                    try:
                        item = cast("Item", coro.send(None))
                    except StopIteration:
                        ended = True
                        break
                    except BaseException:
                        ended = True
                        raise
                    yield from plan.shown(run, *item.value)
            finally:
                try:
                    if not ended:  # the consumer stopped: the step in progress is finished, unheard
                        run.stopping = True
                        drive(coro)
                    _keep(run)
                finally:
                    free(mark, None)

    def astream(
        self,
        input: InputT | Any,
        config: Mapping[str, Any] | None = None,
        *,
        context: ContextT | Any = None,
        stream_mode: Any = None,
        print_mode: Any = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        durability: str | None = None,
        memory: str | None = None,
        control: Any = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: str = "v1",
    ) -> AsyncIterator[Any]:
        """As `stream`, on the caller's event loop."""
        plan = _Streaming(self, stream_mode, print_mode, subgraphs, version, debug)

        def begin() -> Run:
            return launch(
                self, config, AsyncPorts(), context=context, durability=durability, memory=memory, control=control,
                modes=plan.modes,
                interrupt_before=interrupt_before, interrupt_after=interrupt_after, output_keys=_keys(output_keys),
            )  # fmt: skip

        return self._astream(begin, plan, input)

    async def _astream(self, begin: Callable[[], Run], plan: _Streaming, input: Any) -> AsyncIterator[Any]:
        run = begin()  # on the loop
        async with occupied(run):
            coro = run.go(input)
            ended = False
            answer: Any = None
            failure: BaseException | None = None
            try:
                while True:
                    try:
                        waiting = coro.send(answer) if failure is None else coro.throw(failure)
                    except StopIteration:
                        ended = True
                        break
                    except BaseException:
                        ended = True
                        raise
                    answer, failure = None, None
                    if type(waiting) is Item:
                        for chunk in plan.shown(run, *waiting.value):
                            yield chunk
                    else:
                        try:
                            answer = await forward(waiting)
                        except BaseException as error:  # noqa: BLE001 - the engine decides
                            failure = error
            finally:
                if not ended:
                    run.stopping = True
                    await to_the_end(coro)
                _keep(run)

    # -- several -----------------------------------------------------------------------------------------------------

    def batch(
        self, inputs: Sequence[Any], config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[Any]:
        """The results of several inputs, in their order. Different threads run at once, one thread's one after another."""
        from perdure.pregel.batches import batch

        return batch(self, inputs, config, return_exceptions, kwargs)

    async def abatch(
        self, inputs: Sequence[Any], config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[Any]:
        """As `batch`, on the caller's event loop."""
        from perdure.pregel.batches import abatch

        return await abatch(self, inputs, config, return_exceptions, kwargs)


class _Streaming:
    """How a stream's items are shown to its reader."""

    def __init__(
        self,
        graph: CompiledGraph[Any, Any, Any, Any],
        mode: Any,
        print_mode: Any,
        subgraphs: bool = False,
        version: str = "v1",
        debug: Any = None,
    ) -> None:
        wanted = graph.stream_mode if mode is None else mode
        self._several = isinstance(wanted, list)
        several = isinstance(wanted, (list, tuple, set, frozenset))
        names: list[str] = list(cast("Sequence[str]", wanted)) if several else [wanted]
        printing = [print_mode] if isinstance(print_mode, str) else list(print_mode)
        if debug or (debug is None and graph.debug):
            printing += [name for name in ("updates", "values") if name not in printing]
        for name in (*names, *printing):
            if name in LATER_MODES:
                raise PerdureError(
                    f"stream mode {name!r} arrives with a later release (see docs/reference/status.md). Nothing was run."
                    " Until then, 'custom' streams what a node hands to its writer."
                )
            if name not in MODES:
                raise ValueError(f"stream mode {name!r} is not known. Known: {', '.join(MODES)}.")
        if version not in ("v1", "v2"):
            raise ValueError(f"version={version!r}: it is 'v1' or 'v2'.")
        self._wanted = frozenset(names)
        self._printing = frozenset(printing)
        self._subgraphs = subgraphs
        self._v2 = version == "v2"
        self.modes = self._wanted | self._printing

    def shown(self, run: Run, mode: str, payload: Any) -> Iterator[Any]:
        """The chunk for an item, if its mode was asked for."""
        if mode in self._printing:
            printed(mode, payload)
        if mode not in self._wanted:
            return
        if self._v2:
            yield _part(run, mode, payload)
        elif self._subgraphs:
            yield ((), mode, payload) if self._several else ((), payload)
        else:
            yield (mode, payload) if self._several else payload


class _Silent:
    """Nobody listens."""

    modes: frozenset[str] = frozenset()


_SILENT: Final = _Silent()


def _part(run: Run, mode: str, payload: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"type": mode, "ns": (), "data": payload}
    build = run.spec.output_type
    if build is not None and mode == "checkpoints":
        part["data"] = _built(build, payload)
    elif build is not None and mode == "debug" and payload["type"] == "checkpoint":
        part["data"] = {**payload, "payload": _built(build, payload["payload"])}
    elif mode == "values":
        interrupts: Any = ()
        if isinstance(payload, dict) and INTERRUPT in payload:
            rest = cast("dict[str, Any]", payload)
            interrupts = rest[INTERRUPT]
            part["data"] = {key: value for key, value in rest.items() if key != INTERRUPT}
        if build is not None and isinstance(part["data"], dict):
            part["data"] = build(part["data"])
        part["interrupts"] = interrupts
    return part


def _built(build: Callable[[Any], Any], checkpoint: dict[str, Any]) -> dict[str, Any]:
    values = checkpoint["values"]
    return {**checkpoint, "values": build(values) if values else values}


def _keys(output_keys: str | Sequence[str] | None) -> tuple[str, ...] | str | None:
    return output_keys if output_keys is None or isinstance(output_keys, str) else tuple(output_keys)


def _keep(run: Run) -> None:
    keep = getattr(run.chain, "keep", None)
    if keep is not None and hasattr(run, "live"):
        keep(run.live)


def _result(run: Run, version: str) -> Any:
    value = run.output()
    if version == "v2":
        from perdure.types import GraphOutput

        build = run.spec.output_type
        whole: Any = {} if value is None and run.interrupts else value
        if build is not None and whole and isinstance(whole, dict):
            whole = build(whole)
        return GraphOutput(whole, run.interrupts)
    if run.interrupts:
        shown = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        return {**shown, INTERRUPT: list(run.interrupts)}
    return value
