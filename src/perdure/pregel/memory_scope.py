"""Whose memory a run works with: `compile(memory_scope=("users", "{user_id}"))`, filled in for every call.

Here: the template, and filling it from the call's context and config. Not here: what a scope is (`storage/scoped.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any, Final, cast
from uuid import UUID

from perdure.engine.memory import Memory
from perdure.errors import ScopeError
from perdure.storage.contract import Namespace
from perdure.storage.scope import check_scope
from perdure.store.base import InvalidNamespaceError

__all__ = ["checked_template", "narrowed"]

_NOWHERE: Final = object()


def checked_template(template: object) -> Namespace | None:
    """The template's labels; None: the graph has none.

    Raises:
        ScopeError: it is no tuple of labels, or a label has something else in braces than a name.
    """
    if template is None:
        return None
    labels = list(cast("Sequence[object]", template)) if isinstance(template, tuple | list) else []
    for label in labels:
        try:
            fields = list(Formatter().parse(label)) if isinstance(label, str) else None
        except ValueError:
            fields = None
        if fields is None or not all(
            name is None or (name.isidentifier() and not spec and conversion is None)
            for _, name, spec, conversion in fields
        ):
            raise ScopeError(
                f"memory_scope={template!r}: {label!r} is no label of a template. Write text, with names in braces, such as"
                ' "{user_id}".'
            )
    if not labels:
        raise ScopeError(
            f'memory_scope={template!r}: give a tuple of labels, such as ("users", "{{user_id}}").'
        )
    return tuple(cast("list[str]", labels))


def narrowed(
    memory: Memory, template: Namespace | None, context: object, configurable: Mapping[str, Any]
) -> Memory:
    """The memory, seen through the filled template; a scope that it has already stays around it.

    Raises:
        ScopeError: a name is neither in the context nor in the config, its value makes no label, or the store is of
            somebody's own class. Nothing was run.
    """
    if template is None or memory.store is None:
        return memory
    if memory.foreign:
        raise ScopeError(
            f"memory_scope={template!r} needs a store of Perdure's; {type(memory.store).__name__} is a class of its own,"
            " which cannot be kept inside. Nothing was run."
        )
    labels = tuple(_filled(template, label, context, configurable) for label in template)
    try:
        return replace(memory, scope=(*memory.scope, *check_scope(labels)))
    except InvalidNamespaceError as error:
        raise ScopeError(
            f"memory_scope={template!r} became {labels!r}, which is no scope: {error} Nothing was run.",
            namespace=labels,
        ) from error


def _filled(template: Namespace, label: str, context: object, configurable: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for text, name, _, _ in Formatter().parse(label):
        parts.append(text)
        if name is not None:
            parts.append(_value(template, name, context, configurable))
    return "".join(parts)


def _value(template: Namespace, name: str, context: object, configurable: Mapping[str, Any]) -> str:
    if isinstance(context, Mapping):
        value: object = cast("Mapping[str, object]", context).get(name, _NOWHERE)
    else:
        value = getattr(context, name, _NOWHERE)
    if value is _NOWHERE:
        value = configurable.get(name)
    if isinstance(value, str | int | UUID) and not isinstance(value, bool) and str(value):
        return str(value)
    found = "is missing" if value is None else f"is {value!r}, of which no label can be made"
    raise ScopeError(
        f"memory_scope={template!r}: {name!r} {found}. Nothing was run. Give it in the call's context, or as"
        f' config["configurable"][{name!r}]: text that is not empty, an integer or a UUID.'
    )
