"""LangChain's callbacks: a run and each of its nodes are chains, with their parents, tags and metadata.

Here: an observer for the engine's port (`perdure.engine.observe`), over LangChain's own callback managers; errors of handlers
are theirs to log. While a node runs, LangChain's config of the context is the node's, so that a model called without a config
is its child. Not here: `Runnable` as a base (`perdure.late`), events for graphs only (`perdure.callbacks`).
Loaded by the port once LangChain is, or when a config has callbacks.
"""

from __future__ import annotations

# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false
# LangChain is optional, and where it is installed its types change from release to release: what comes from there is Any.
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from perdure.constants import sounds_secret
from perdure.engine import observe
from perdure.late import fetch

if TYPE_CHECKING:
    from perdure.callbacks import GraphLifecycleEvent
    from perdure.engine.run import Run


def _theirs(module: str, name: str) -> Any:
    return fetch(f"langchain_core.{module}", name, extra="langchain", wanted_for='config["callbacks"]')


_sync_manager: Final = _theirs("runnables.config", "get_callback_manager_for_config")
_async_manager: Final = _theirs("runnables.config", "get_async_callback_manager_for_config")
_child_config: Final = _theirs("runnables.config", "var_child_runnable_config")
_handle_event: Final = _theirs("callbacks.manager", "handle_event")
_ahandle_event: Final = _theirs("callbacks.manager", "ahandle_event")
# Sets the same variable, and tells LangSmith, if that traces, which run is the parent. Private, and kept for LangGraph.
_set_config: Final = getattr(
    sys.modules["langchain_core.runnables.config"], "_set_config_context", _child_config.set
)

_SCALARS: Final = (str, int, float, bool)


class _Observer:
    """Of one run."""

    def __init__(self, run: Run) -> None:
        self._callbacks = run.settings.callbacks
        self._shown = {
            name: value
            for name, value in run.settings.configurable.items()
            if isinstance(value, _SCALARS) and not name.startswith("__") and not sounds_secret(name)
        }

    async def begin(
        self,
        kind: observe.Kind,
        name: str,
        parent: observe.Span | None,
        input: Any,
        *,
        tags: Sequence[str],
        metadata: Mapping[str, Any],
        run_id: str | None,
        blocking: bool,
    ) -> observe.Span:
        """A chain starts, if anybody listens."""
        callbacks = self._callbacks
        if kind == "task":
            if not isinstance(parent, _Span):
                return _QUIET
            callbacks = parent.manager.get_child(f"graph:step:{metadata['langgraph_step']}")
        config = {"callbacks": callbacks, "tags": list(tags), "metadata": {**self._shown, **metadata}}
        manager = (_sync_manager if blocking else _async_manager)(config)
        if not manager.handlers:
            return _QUIET
        started = manager.on_chain_start(None, input, name=name, run_id=_uuid(run_id))
        return _Span(started if blocking else await started, blocking)


class _Quiet:
    """Nobody listens. What is left to do: code that is handed no config finds the node's."""

    def chunk(self, value: Any) -> None:
        """Nothing."""

    async def end(self, output: Any = observe.LAST) -> None:
        """Nothing."""

    async def fail(self, error: BaseException) -> None:
        """Nothing."""

    async def tell(self, event: GraphLifecycleEvent) -> None:
        """Nothing."""

    def child_config(self) -> Mapping[str, Any]:
        """Nothing of its own."""
        return {}

    def enter(self, config: dict[str, Any]) -> None:
        """LangChain's config of this context is `config`."""
        _child_config.set(config)


_QUIET: Final = _Quiet()


class _Span:
    """A chain run with listeners; `manager` is LangChain's for it."""

    def __init__(self, manager: Any, blocking: bool) -> None:
        self.manager = manager
        self._blocking = blocking
        self._last: Any = None

    def chunk(self, value: Any) -> None:
        """For `astream_events` and `astream_log`."""
        self._last = value
        for handler in self.manager.handlers:
            tap = getattr(handler, "tap_output_iter", None)
            if tap is not None:
                for _ in tap(self.manager.run_id, iter([value])):
                    pass

    async def end(self, output: Any = observe.LAST) -> None:
        """The chain ends."""
        ended = self.manager.on_chain_end(self._last if output is observe.LAST else output)
        if not self._blocking:
            await ended

    async def fail(self, error: BaseException) -> None:
        """The chain ends with an error; a question is one, too."""
        ended = self.manager.on_chain_error(error)
        if not self._blocking:
            await ended

    async def tell(self, event: GraphLifecycleEvent) -> None:
        """For handlers that are made for graphs; the others have no such method."""
        callbacks = sys.modules["perdure.callbacks"]
        kind = vars(callbacks).get("GraphCallbackHandler")
        handlers = [
            handler for handler in self.manager.handlers if kind is not None and isinstance(handler, kind)
        ]
        if not handlers:
            return
        name = "on_interrupt" if hasattr(event, "interrupts") else "on_resume"
        told = replace(event, run_id=self.manager.run_id)
        if self._blocking:
            _handle_event(handlers, name, None, told)
        else:
            await _ahandle_event(handlers, name, None, told)

    def child_config(self) -> Mapping[str, Any]:
        """Callbacks whose runs are children of this one."""
        return {"callbacks": self.manager.get_child()}

    def enter(self, config: dict[str, Any]) -> None:
        """LangChain's config of this context is `config`, LangSmith's parent this run."""
        _set_config(config)


def _uuid(run_id: str | None) -> UUID | None:
    try:
        return None if run_id is None else UUID(run_id)
    except ValueError:  # the caller's own mark, which LangChain has no room for
        return None


def _surrounding() -> Mapping[str, Any] | None:
    config: dict[str, Any] | None = _child_config.get()
    if config is None or config.get("recursion_limit") != _THEIR_LIMIT:
        return config
    return {key: value for key, value in config.items() if key != "recursion_limit"}


_THEIR_LIMIT: Final = 25  # LangChain's default: of chains, which nobody chose for a graph

observe.factories.append(_Observer)
observe.ambient.append(_surrounding)
