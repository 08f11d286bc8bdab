"""The part of a graph's face that is there because LangChain's `Runnable` has it.

Here: which names are LangChain's own, schemas of what goes in and out, the typed way to hand a graph on.
Not here: how the base class arrives (`perdure.late`), running (`compiled.py`, which alone imports this).
"""

from __future__ import annotations

# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownParameterType=false
# LangChain is optional: where it is not installed, a type checker does not know `Runnable`.
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from perdure.late import Late, fetch, late_base

if TYPE_CHECKING:
    from langchain_core.runnables.base import Runnable

In = TypeVar("In")
Out = TypeVar("Out")

# What a graph takes from there (see `perdure.late`); all else that both have is the graph's own.
THEIRS: Final = (
    "__or__", "__ror__", "pipe", "pick", "assign", "map", "bind", "transform", "atransform",
    "with_retry", "with_fallbacks", "with_types", "with_listeners", "with_alisteners", "as_tool",
    "astream_log", "astream_events", "batch_as_completed", "abatch_as_completed",
    "input_schema", "output_schema", "config_specs", "config_schema", "get_config_jsonschema", "get_prompts",
)  # fmt: skip


@late_base("langchain_core.runnables.base", "Runnable", extra="langchain", theirs=THEIRS)
class RunnableFace(Late, Generic[In, Out]):
    """What compiled graphs have in common with LangChain's Runnables; one of them, as soon as anybody can ask."""

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The graph's name; a suffix is added in its manner: `Weather` gives `WeatherInput`, `weather` `weather_input`."""
        found = name or str(cast("Any", self).name)
        if not suffix:
            return found
        return found + suffix.title() if found[:1].isupper() else f"{found}_{suffix.lower()}"

    @property
    def InputType(self) -> Any:
        """The schema of what a run takes."""
        return Any

    @property
    def OutputType(self) -> Any:
        """The schema of what a run gives."""
        return Any

    def get_input_schema(self, config: Any = None) -> Any:
        """A pydantic model of what a run takes. Raises ImportError without pydantic."""
        from perdure.pregel.schemas import model_of

        return model_of(self.InputType, self.get_name("Input"))

    def get_output_schema(self, config: Any = None) -> Any:
        """A pydantic model of what a run gives. Raises ImportError without pydantic."""
        from perdure.pregel.schemas import model_of

        return model_of(self.OutputType, self.get_name("Output"))

    def get_input_jsonschema(self, config: Any = None) -> dict[str, Any]:
        """The JSON schema of what a run takes. Raises ImportError without pydantic."""
        return self.get_input_schema().model_json_schema()

    def get_output_jsonschema(self, config: Any = None) -> dict[str, Any]:
        """The JSON schema of what a run gives. Raises ImportError without pydantic."""
        return self.get_output_schema().model_json_schema()

    def as_runnable(self) -> Runnable[In, Out]:
        """This graph, typed as the LangChain `Runnable` that it is: type checkers see no such base.

        Raises:
            ImportError: LangChain is not installed; the message says what to install.
        """
        module = "langchain_core.runnables.base"
        base = fetch(module, "Runnable", extra="langchain", wanted_for="graph.as_runnable()")
        if not isinstance(self, base):  # looking is what makes it one
            raise TypeError(f"{type(self).__name__} did not become a Runnable")
        return cast("Runnable[In, Out]", self)
