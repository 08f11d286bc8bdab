"""How a call becomes a run: config, thread, chain, memory, and whether another run of this thread is at work."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import ormsgpack

from perdure import clock
from perdure.current import CURRENT
from perdure.engine.apply import count_up
from perdure.engine.as_of import AsOf
from perdure.engine.commit import OwnChain
from perdure.engine.context import TASK_KEY, TaskContext
from perdure.engine.foreign import ForeignChain
from perdure.engine.memory import NO_MEMORY, Memory
from perdure.engine.observe import surroundings
from perdure.engine.ports import Ports
from perdure.engine.run import Run
from perdure.engine.settings import Settings, checked_config, merge_configs, read_settings
from perdure.engine.unsaved import NoChain
from perdure.errors import Conflict, PerdureError, ScopeError
from perdure.pregel.faces import Saver, memory_of, own_saver, teach
from perdure.pregel.memory_scope import narrowed
from perdure.runtime import RunControl
from perdure.storage.contract import RunRow, check_thread_id
from perdure.storage.ids import child_ns
from perdure.storage.sealing import sealed

if TYPE_CHECKING:
    from perdure.pregel.compiled import CompiledGraph

DURABILITIES: Final = ("sync", "async", "exit")
_busy: dict[tuple[str, str], occupied] = {}
_busy_lock = threading.Lock()


def _after_fork() -> None:
    """In the child: runs of other threads are the parent's; whoever held the lock is not here."""
    global _busy_lock
    _busy_lock = threading.Lock()
    _busy.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

free: Final = cast("Callable[[Any, None], object]", _busy.pop)
"""Takes the mark of `occupied` away. Not a function of Python's, at whose first line a signal could keep it from its work."""
_TURNS: Final = 4  # of the loop, until it has begun to close an async generator that nobody reads any more


def settings_of(
    graph: CompiledGraph[Any, Any, Any, Any], config: Mapping[str, Any] | None, *, nested: bool = True
) -> Settings:
    """The settings of a call: bound config, then the call's own; inside a task the task's config comes first."""
    config = checked_config(config)
    inside = _enclosing(config) if nested else None
    merged = merge_configs(surroundings(inside), graph.config, config)
    settings = read_settings(merged)
    if inside is None:
        return settings._replace(parent=None) if settings.parent is not None else settings
    call = inside.next_call()
    ns = child_ns(inside.task.ns, inside.task.name, inside.task.id, call)
    return settings._replace(parent=inside, ns=ns, checkpoint=None)


def _enclosing(config: Mapping[str, Any] | None) -> TaskContext | None:
    """The task that calls, unless the call names a thread of its own."""
    configurable: Mapping[str, Any] = (config or {}).get("configurable") or {}
    given = configurable.get(TASK_KEY)
    inside = given if isinstance(given, TaskContext) else CURRENT.get()
    if not isinstance(inside, TaskContext):
        return None
    thread = configurable.get("thread_id")
    if thread is not None and str(thread) != inside.run.chain.thread:
        return None
    return inside


def launch(
    graph: CompiledGraph[Any, Any, Any, Any],
    config: Mapping[str, Any] | None,
    ports: Ports,
    *,
    context: Any = None,
    durability: str | None = None,
    memory: str | None = None,
    control: RunControl | None = None,
    modes: frozenset[str] = frozenset(),
    interrupt_before: Sequence[str] | str | None = None,
    interrupt_after: Sequence[str] | str | None = None,
    output_keys: tuple[str, ...] | str | None = None,
    nested: bool = True,
) -> Run:
    """A run that has not begun yet. Not `nested`: it works on the thread that the config names, wherever it is called."""
    settings = settings_of(graph, config, nested=nested)
    parent = settings.parent.run if settings.parent is not None else None
    found = (
        parent.memory if parent is not None and parent.memory.store is not None else memory_of(graph.store)
    )
    if memory is not None:
        found = _of_the_past(memory, graph, settings, found)
    durability = _durability(durability, parent, graph, settings)
    if context is None and parent is not None:
        context = parent.context
    context = coerced_context(graph.spec.context_schema, context)
    found = _narrowed(graph, found, context, settings, nested=nested)
    chain = _chain(graph, settings, parent, found, ports, durability)
    before, after = interrupt_before, interrupt_after
    return Run(
        graph.spec,
        settings,
        ports,
        chain,
        found,
        durability=durability,
        context=context,
        control=control if control is not None or parent is None else parent.control,
        modes=modes,
        interrupt_before=before or graph.spec.interrupt_before,
        interrupt_after=after or graph.spec.interrupt_after,
        output_keys=output_keys,
        next_version=getattr(chain, "next_version", None) or count_up,
        debug=graph.debug,
    )


def _of_the_past(
    asked: object, graph: CompiledGraph[Any, Any, Any, Any], settings: Settings, memory: Memory
) -> Memory:
    """Memory as of the checkpoint that the call names. Raises ValueError where it names none, or memory has no past."""
    if asked != "as_of":
        raise ValueError(f'memory={asked!r}: give "as_of", or leave it out. Nothing was run.')
    saver = None if not graph.checkpointer else own_saver(graph.checkpointer, graph.spec.types)
    backend = memory.backend
    if settings.parent is not None or saver is None or backend is None or saver.backend is not backend:
        raise ValueError(
            'memory="as_of" needs a graph that is called directly, with a saver and a store of Perdure\'s on one database:'
            " compile(perdure.connect(...)). Nothing was run."
        )
    if settings.thread is None or settings.checkpoint is None:
        raise ValueError(
            'memory="as_of" needs a checkpoint to go on from: pass the config of one, such as a snapshot\'s in'
            " graph.get_state_history(...). Nothing was run."
        )
    with backend.read() as snapshot:
        row = snapshot.checkpoint(settings.thread, settings.ns, settings.checkpoint)
        revision = None if row is None else row.revision
    if revision is None:
        raise ValueError(
            f"thread {settings.thread!r} has no checkpoint {settings.checkpoint}, so memory as of it is not known. Nothing"
            " was run."
        )
    return replace(memory, as_of=AsOf(backend, revision))


def _narrowed(
    graph: CompiledGraph[Any, Any, Any, Any],
    memory: Memory,
    context: Any,
    settings: Settings,
    *,
    nested: bool,
) -> Memory:
    """The part of memory that this call is about; none at all for an update of a state that does not say."""
    try:
        return narrowed(memory, graph.memory_scope, context, settings.configurable)
    except ScopeError:
        if nested:
            raise
        return NO_MEMORY


def _durability(
    given: str | None, parent: Run | None, graph: CompiledGraph[Any, Any, Any, Any], settings: Settings
) -> str:
    if given is not None and given not in DURABILITIES:
        raise ValueError(f"durability={given!r}: it is one of {', '.join(map(repr, DURABILITIES))}.")
    if parent is not None:
        return parent.durability
    if given is not None and not graph.checkpointer:
        import warnings

        warnings.warn(
            f"durability={given!r} has no effect: the graph was compiled without a checkpointer.",
            UserWarning,
            stacklevel=4,
        )
    return given or settings.configurable.get("__durability__") or "async"


def _chain(
    graph: CompiledGraph[Any, Any, Any, Any],
    settings: Settings,
    parent: Run | None,
    memory: Memory,
    ports: Ports,
    durability: str,
) -> Any:
    checkpointer = graph.checkpointer
    if parent is not None:
        return _nested_chain(graph, settings, parent, memory, ports, durability)
    if checkpointer is True:
        raise RuntimeError(
            "compile(checkpointer=True) is for a graph that another one calls: it keeps its state in the caller's saver."
            " A graph that is called directly needs a saver of its own."
        )
    if checkpointer is None or checkpointer is False:
        return NoChain(memory, ports, thread=settings.thread, ns=settings.ns)
    thread = required_thread(settings)
    saver = own_saver(checkpointer, graph.spec.types, memory.store)
    if saver is None:
        return ForeignChain(
            checkpointer, memory, ports, graph.spec, thread=thread, settings=settings, durability=durability
        )
    return own_chain(graph, saver, settings, thread, memory, ports, durability)


def own_chain(
    graph: CompiledGraph[Any, Any, Any, Any],
    saver: Saver,
    settings: Settings,
    thread: str,
    memory: Memory,
    ports: Ports,
    durability: str,
    enclosing: Sequence[OwnChain] = (),
    parents: Mapping[str, str] | None = None,
) -> OwnChain:
    """A chain in a database of ours."""
    metadata = settings.saved_metadata()
    if parents:
        metadata["parents"] = dict(parents)
    row = None
    if metadata:
        run_id = str(clock.uuid6())
        packed = sealed(saver.pieces, packed_metadata(metadata), thread, "run", run_id)
        row = RunRow(thread, run_id, clock.micros(), packed)
    return OwnChain(
        saver.backend, saver.pieces, memory, ports, graph.spec,
        thread=thread, ns=settings.ns, durability=durability, run=row, enclosing=enclosing,
    )  # fmt: skip


def packed_metadata(metadata: Mapping[str, Any]) -> bytes:
    """A run's shared metadata. NUL characters are left out, as the contract has it; lone surrogates become `?`."""
    try:
        return ormsgpack.packb(_clean(metadata))
    except TypeError:  # an integer beyond 64 bits, or the like
        return ormsgpack.packb({key: str(value) for key, value in _clean(metadata).items()})


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def _nested_chain(
    graph: CompiledGraph[Any, Any, Any, Any],
    settings: Settings,
    parent: Run,
    memory: Memory,
    ports: Ports,
    durability: str,
) -> Any:
    if graph.checkpointer is True:
        raise PerdureError(
            f"graph {graph.name!r} was compiled with checkpointer=True: keeping a nested graph's state across runs arrives"
            " with a later release (see docs/reference/status.md). Compile it without, or with checkpointer=False."
        )
    outer = parent.chain
    if graph.checkpointer is False or not isinstance(outer, OwnChain):
        return NoChain(memory, ports, thread=outer.thread, ns=settings.ns)
    saver = own_saver_of(outer, graph.spec.types)
    parents = {chain.ns: chain.at for chain in (*outer.enclosing, outer)}
    return own_chain(
        graph,
        saver,
        settings,
        str(outer.thread),
        memory,
        ports,
        durability,
        (*outer.enclosing, outer),
        parents,
    )


def own_saver_of(chain: OwnChain, types: tuple[Any, ...]) -> Saver:
    """The saver of the chain around, which learns the nested graph's types."""
    teach(chain.pieces, types)
    return Saver(chain.backend, chain.pieces, chain.memory.backend or chain.backend)


def required_thread(settings: Settings) -> str:
    """The thread's id; raises ValueError if there is none, or it cannot be one."""
    if settings.thread is not None:
        return check_thread_id(settings.thread)
    if not settings.given_thread:
        raise ValueError(
            "Checkpointer requires one or more of the following 'configurable' keys: thread_id, checkpoint_ns,"
            " checkpoint_id. Call with config={'configurable': {'thread_id': '...'}}."
        )
    raise ValueError(
        "'configurable' has no thread_id (or it is None), and the graph has a checkpointer: it does not know which"
        " conversation this is. Call with config={'configurable': {'thread_id': '...'}}."
    )


def coerced_context(schema: Any, context: Any) -> Any:
    """A dict as the graph's context schema, where that is a dataclass or a pydantic model."""
    if not isinstance(context, dict) or schema is None or not isinstance(schema, type):
        return context  # pyright: ignore[reportUnknownVariableType] - a user's value
    if hasattr(schema, "__dataclass_fields__") or hasattr(schema, "model_fields"):
        return schema(**context)
    return context  # pyright: ignore[reportUnknownVariableType] - a user's value


class occupied:
    """While a run is at work on a thread, no other run of this process begins there."""

    __slots__ = ("_key", "_over", "_run")

    def __init__(self, run: Run) -> None:
        chain = run.chain
        self._run = run
        self._over: list[Callable[[], object]] = []  # called when the thread is free again
        self._key: tuple[str, str] | None = None
        if run.parent is None and isinstance(chain, OwnChain | ForeignChain):
            self._key = (chain.identity, str(chain.thread))

    def __enter__(self) -> tuple[str, str] | None:
        """What `free` takes."""
        if self._key is None:
            return None
        try:
            with _busy_lock:
                mine = self._key not in _busy
                if mine:
                    _busy[self._key] = self
        except BaseException:
            self._leave()  # a signal as soon as the mark was made
            raise
        if not mine:
            raise Conflict(
                f"thread {self._key[1]!r} is at work: another call of this process runs on it. Nothing was run or"
                " written. Wait for that call, or use another thread_id."
            )
        return self._key

    def __exit__(self, *_: object) -> None:
        if self._key is not None:
            with _busy_lock:
                self._leave()
            for call in self._over:
                call()

    def _leave(self) -> None:
        if self._key is not None and _busy.get(self._key) is self:
            del _busy[self._key]

    async def __aenter__(self) -> None:
        if self._key in _busy:
            await self._abandoned()
        self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)

    async def _abandoned(self) -> None:
        """A stream that its reader has left (`break`) is ended by the loop in a turn or two; its step comes to an end."""
        for _ in range(_TURNS):
            other = None if self._key is None else _busy.get(self._key)
            if other is None:
                return
            if other._run.stopping:
                await other._ended()
                return
            await asyncio.sleep(0)

    async def _ended(self) -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        with _busy_lock:
            self._over.append(lambda: loop.call_soon_threadsafe(_succeed, over))
            if self._key is None or _busy.get(self._key) is not self:
                return
        await over


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
