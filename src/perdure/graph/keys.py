"""The keys of a graph: those of all its schemas together, each with one channel.

A plain key in one schema and a reducer in another: the reducer. Two that treat writes differently: an error.
Imports `schema`; imported by `builder`.
"""

from __future__ import annotations

from typing import Any

from perdure.channels import BaseChannel, LastValue
from perdure.graph.schema import Schema, schema_of
from perdure.managed import ManagedValue

__all__ = ["Keys"]


class Keys:
    """Grows with every schema that a graph is told of.

    Attributes:
        state, input, output: the graph's own three schemas.
        schemas: all of them, by their type.
        channels: key -> channel, in the order in which the schemas brought them.
        managed: key -> managed value.
    """

    def __init__(self, state: object, input_schema: object | None, output_schema: object | None) -> None:
        """With the graph's own three; those not given are the state."""
        self.schemas: dict[Any, Schema] = {}
        self.channels: dict[str, BaseChannel[Any, Any, Any]] = {}
        self.managed: dict[str, type[ManagedValue[Any]]] = {}
        self.state = self._add(state)
        self.input = self._face(input_schema)
        self.output = self._face(output_schema)

    def view(self, declared: object | None, *, explicit: bool, of: str) -> Schema:
        """The schema of a node or path function; the state's if it declares none.

        Args:
            declared: what was given as `input_schema`, or the class that annotates its first parameter.
            explicit: it was given: then it must fit.
            of: whose it is, for messages.

        Raises:
            ValueError: it contradicts the graph's other schemas.
        """
        if declared is None or (self.state.is_root and not explicit):
            return self.state
        found = self.schemas.get(declared) or schema_of(declared)
        if found.is_root != self.state.is_root:
            raise ValueError(
                f"The input schema of {of} is {found.name}, but the state is {self.state.name}: one of them has keys, "
                "the other is one value."
            )
        return self._put(declared, found)

    def _face(self, declared: object | None) -> Schema:
        if declared is None:
            return self.state if not self.state.managed else self._without_managed()
        found = self.schemas.get(declared) or schema_of(declared)
        if found.managed:
            names = ", ".join(found.managed)
            raise ValueError(
                f"Invalid managed channels detected in {found.name}: {names}. "
                "Managed channels are not permitted in Input/Output schema."
            )
        return self._put(declared, found)

    def _without_managed(self) -> Schema:
        state = self.state
        order = tuple(key for key in state.order if key in state.channels)
        return Schema(state.type, state.channels, {}, order, state.build)

    def _add(self, declared: object) -> Schema:
        return self._put(declared, schema_of(declared))

    def _put(self, declared: object, schema: Schema) -> Schema:
        if declared in self.schemas:
            return schema
        channels = dict(self.channels)
        for key, channel in schema.channels.items():
            channels[key] = _one_of(key, channels.get(key), channel, schema)
        managed = {**self.managed, **schema.managed}
        for key in managed.keys() & channels.keys():
            if not _is_plain(channels[key]):
                raise ValueError(f"Key '{key}' has a channel in one schema and a managed value in another.")
            del channels[key]
        self.channels, self.managed = channels, managed
        self.schemas[declared] = schema
        return schema


def _is_plain(channel: BaseChannel[Any, Any, Any]) -> bool:
    return type(channel) is LastValue


def _one_of(
    key: str, old: BaseChannel[Any, Any, Any] | None, new: BaseChannel[Any, Any, Any], schema: Schema
) -> BaseChannel[Any, Any, Any]:
    if old is None or (_is_plain(old) and not _is_plain(new)):
        return new
    if not _is_plain(new) and new != old:
        raise ValueError(
            f"Channel '{key}' already exists with a different type: {_kind(old)} there, {_kind(new)} in {schema.name}. "
            "All schemas of a graph must treat the writes to a key alike."
        )
    return old


def _kind(channel: BaseChannel[Any, Any, Any]) -> str:
    reducer: object = getattr(channel, "operator", None)
    name = f"({getattr(reducer, '__name__', reducer)})" if reducer is not None else ""
    return f"{type(channel).__name__}{name}"
