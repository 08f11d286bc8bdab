"""Whose memory a run works with: `compile(memory_scope=("users", "{user_id}"))`, filled in for every call.

Here: the template, and filling it from the call's context and config; nodes that have a template of their own fill it in
the same way (`perdure.memory`). Not here: what a scope is (`storage/scoped.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any, Final, cast
from uuid import UUID

from perdure.engine.memory import Memory
from perdure.errors import ScopeError
from perdure.storage.contract import Namespace
from perdure.storage.scope import check_scope
from perdure.store.base import InvalidNamespaceError

__all__ = ["checked_template", "filled", "narrowed"]

_NOWHERE: Final = object()


def checked_template(template: object, of: str = "memory_scope") -> Namespace | None:
    """The template's labels; None: the graph has none.

    Args:
        template: what the user gave.
        of: what the user calls it, for messages.

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
                f"{of}={template!r}: {label!r} is no label of a template. Write text, with names in braces, such as"
                ' "{user_id}".'
            )
    if not labels:
        raise ScopeError(f'{of}={template!r}: give a tuple of labels, such as ("users", "{{user_id}}").')
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
    return replace(memory, scope=(*memory.scope, *filled(template, context, configurable)))


def filled(
    template: Namespace,
    context: object,
    configurable: Mapping[str, Any],
    *,
    of: str = "memory_scope",
    so: str = "Nothing was run.",
) -> Namespace:
    """The template's labels with what the call says for the names.

    Args:
        template: checked labels.
        context: what the call was told, an object or a mapping; looked at first.
        configurable: of the call's config.
        of: what the user calls the template, for messages.
        so: what a refusal means, for messages.

    Raises:
        ScopeError: a name is neither in the context nor in the config, or its value makes no label.
    """
    labels = tuple(
        "".join(_parts(template, label, context, configurable, of=of, so=so)) for label in template
    )
    try:
        return check_scope(labels)
    except InvalidNamespaceError as error:
        raise ScopeError(
            f"{of}={template!r} became {labels!r}, which is no scope: {error} {so}", namespace=labels
        ) from error


def _parts(
    template: Namespace, label: str, context: object, configurable: Mapping[str, Any], *, of: str, so: str
) -> Iterator[str]:
    for text, name, _, _ in Formatter().parse(label):
        yield text
        if name is None:
            continue
        value = _value(name, context, configurable)
        if isinstance(value, str | int | UUID) and not isinstance(value, bool) and str(value):
            yield str(value)
            continue
        found = "is missing" if value is None else f"is {value!r}, of which no label can be made"
        raise ScopeError(
            f"{of}={template!r}: {name!r} {found}. {so} Give it in the call's context, or as"
            f' config["configurable"][{name!r}]: text that is not empty, an integer or a UUID.'
        )


def _value(name: str, context: object, configurable: Mapping[str, Any]) -> object:
    if isinstance(context, Mapping):
        value: object = cast("Mapping[str, object]", context).get(name, _NOWHERE)
    else:
        value = getattr(context, name, _NOWHERE)
    return configurable.get(name) if value is _NOWHERE else value
