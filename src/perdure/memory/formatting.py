"""`format_memories`: what was found, as text for a prompt that stays within a number of tokens. Pure.

One memory is one line, whatever is in it: a value cannot begin a line of its own, and so cannot pose as another memory or
as the prompt around it. That is layout, not trust: a model may still obey what a memory says.
Here: lines, and which of them fit. Not here: tokens (`tokens.py`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import Any, Final, TypeAlias, cast

from perdure.errors import QueryError
from perdure.memory.tokens import estimate_tokens
from perdure.store.base import Item

__all__ = ["Memory", "format_memories"]

Memory: TypeAlias = "Item | Mapping[str, Any] | str"
"""An item of a store, a `Recalled` of a state, or plain text."""
Count: TypeAlias = "Callable[[str], int]"

_FIELDS: Final = ("text", "key", "namespace", "value", "score", "created_at", "updated_at")
_TEXT_FIELDS: Final = ("text", "content", "memory")
_ENDING: Final = "\N{HORIZONTAL ELLIPSIS}"
_PATH: Final = re.compile(r"(?P<name>\w+)(?P<inner>(?:\[[^][]+\])*)\Z")


def format_memories(
    items: Iterable[Memory],
    *,
    budget: int | None = None,
    count: Count | None = None,
    template: str | Callable[[Memory], str] = "- {text}",
    cut: bool = False,
    left_out: str | None = None,
) -> str:
    """The memories as text, one a line, in the order given, as many as fit into `budget` tokens.

    Searches give the best first, so the best are kept: each that still fits is taken, one that does not is passed over for
    those behind it. None is cut in half unless `cut` says so. The whole text, line ends and `left_out` included, counts at
    most `budget`; where nothing fits it is empty. In what comes from a memory, runs of white space become one space and
    control characters go.

    Args:
        items: what `search` or `recall` gave; or plain texts.
        budget: tokens, from 0; None: all memories.
        count: how many tokens a text has, such as the length of what the model's tokenizer gives. None: `estimate_tokens`, which
            is an estimate: leave some room then.
        template: a line, with what it says of a memory in braces: `{text}` (the value's "text", "content" or "memory" if that
            is a text, else the value as JSON), `{value}` (as JSON), `{value[kind]}` (a field, empty if there is none),
            `{key}`, `{namespace}`, `{score}`, `{created_at}`, `{updated_at}`. Or a function from a memory to its line, of
            which white space is made one space, too.
        cut: whether the first memory that does not fit is cut to what is left, and ends with an ellipsis; then no more follow.
        left_out: a last line about those that were left out, with their number as `{n}`: `"({n} more)"`. None: nothing is said.

    Raises:
        QueryError: a budget, template or memory that cannot be right.
    """
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 0):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise QueryError(f"budget={budget!r}: give a number of tokens, an integer from 0.", part="budget")
    lines = (
        [_one_line(template(item)) for item in items] if callable(template) else _Lines(template).of(items)
    )
    if budget is None:
        return "\n".join(lines)
    return _Packed(lines, budget, count or estimate_tokens, left_out).text(cut=cut)


# ---- lines


class _Lines(Formatter):
    """Lines by a template. Of a memory's values nothing is looked up but fields of JSON, so no template reaches further."""

    def __init__(self, template: str) -> None:
        self._template = template
        try:
            fields = [(name, spec) for _, name, spec, _ in self.parse(template) if name is not None]
        except (ValueError, TypeError) as error:
            raise QueryError(f"template={template!r}: {error}.", part="template") from error
        for name, spec in fields:
            path = _PATH.match(name)
            if path is None or path["name"] not in _FIELDS or "{" in (spec or ""):
                raise QueryError(
                    f"template={template!r}: {{{name}}} is nothing that a memory has. Known are"
                    f" {', '.join(_FIELDS)}, and fields of the value: {{value[kind]}}.",
                    part=name,
                )

    def of(self, items: Iterable[Memory]) -> list[str]:
        return [self._line(item) for item in items]

    def _line(self, item: Memory) -> str:
        facts = _facts(item)
        try:
            return self.vformat(self._template, (), facts)
        except (ValueError, TypeError) as error:
            raise QueryError(
                f"template={self._template!r} does not fit {facts['text'][:80]!r}: {error}.", part="template"
            ) from error

    def get_field(self, field_name: str, args: object, kwargs: Mapping[str, Any]) -> tuple[object, str]:
        path = _PATH.match(field_name)
        assert path is not None  # noqa: S101 - the template was looked at
        found: object = kwargs[path["name"]]
        for name in re.findall(r"\[([^][]+)\]", path["inner"]):
            found = _inside(found, name)
        return found, path["name"]

    def format_field(self, value: object, format_spec: str) -> str:
        if value is None:
            return ""
        shown = _shown(value)
        return format(_one_line(shown) if isinstance(shown, str) else shown, format_spec)

    def convert_field(self, value: object, conversion: str | None) -> object:
        return value if value is None else super().convert_field(_shown(value), cast("Any", conversion))


def _facts(item: Memory) -> dict[str, Any]:
    """What a template can say of a memory."""
    if isinstance(item, str):
        return {**dict.fromkeys(_FIELDS), "text": item, "value": item}
    if isinstance(item, Item):
        value: object = item.value
        facts: dict[str, Any] = item.dict()
    elif isinstance(item, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        facts = dict(item)
        value = facts.get("value", {**facts})
    else:
        raise QueryError(
            f"a {type(item).__name__} is no memory: give items of a store, what recall put into the state, or texts.",
            part=type(item).__name__,
        )
    named = {name: facts.get(name) for name in _FIELDS}
    return {**named, "value": value, "text": _text_of(value)}


def _text_of(value: object) -> str:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        for name in _TEXT_FIELDS:
            text = fields.get(name)
            if isinstance(text, str):
                return text
        return str(_shown(fields))
    return str(_shown(value))


def _inside(found: object, name: str) -> object:
    if isinstance(found, Mapping):
        return cast("Mapping[str, object]", found).get(name)
    if isinstance(found, list) and name.isdecimal():
        elements = cast("list[object]", found)
        return elements[int(name)] if int(name) < len(elements) else None
    return None


def _shown(value: object) -> object:
    """Numbers and text as they are, containers as JSON, other things as what they print as."""
    if isinstance(value, str | int | float):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):  # no JSON: keys that are no strings, rings
        return str(value)


def _one_line(line: object) -> str:
    if not isinstance(line, str):
        raise QueryError(f"template gave {line!r}, a {type(line).__name__}; a line is text.", part="template")
    kept = " ".join(line.split())
    if kept.isascii() and kept.isprintable():
        return kept
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if "\ud800" <= c <= "\udfff" else c
        for c in kept
        if unicodedata.category(c) != "Cc"
    )


# ---- which of them fit


class _Packed:
    """Lines that fit a budget."""

    def __init__(self, lines: list[str], budget: int, count: Count, left_out: str | None) -> None:
        self._lines = lines
        self._budget = budget
        self._count = count
        self._note = left_out
        self._ends = count("\n")

    def text(self, *, cut: bool) -> str:
        """The text."""
        # Whether all fit is looked at first, as then nothing has to be said of those left out.
        whole = "\n".join(self._lines)
        if self._count(whole) <= self._budget:
            return whole
        taken = self._fitting(cut=cut)
        # Tokens of the parts are not those of the whole: usually fewer, never relied upon.
        while taken and self._count(self._joined(taken)) > self._budget:
            taken.pop()
        text = self._joined(taken)
        return text if self._count(text) <= self._budget else ""

    def _fitting(self, *, cut: bool) -> list[str]:
        room = self._budget
        if self._note is not None:
            room -= self._count(self._said(len(self._lines))) + self._ends
        taken: list[str] = []
        for line in self._lines:
            needs = self._count(line) + (self._ends if taken else 0)
            if needs <= room:
                taken.append(line)
                room -= needs
            elif cut:
                part = self._cut(line, room - (self._ends if taken else 0))
                return [*taken, part] if part else taken
        return taken

    def _cut(self, line: str, room: int) -> str:
        """The longest beginning that fits with its ellipsis, if possible at the end of a word; empty if none does."""
        low, high = 0, len(line)
        while low < high:
            middle = (low + high + 1) // 2
            if self._count(line[:middle].rstrip() + _ENDING) <= room:
                low = middle
            else:
                high = middle - 1
        end = low
        while end < len(line) and end > 0 and unicodedata.combining(line[end]):
            end -= 1
        word = line.rfind(" ", 0, end + 1)
        if word > end // 2:
            end = word
        return line[:end].rstrip() + _ENDING if end > 0 else ""

    def _joined(self, taken: list[str]) -> str:
        missing = len(self._lines) - len(taken)
        if self._note is None or not missing:
            return "\n".join(taken)
        return "\n".join([*taken, self._said(missing)])

    def _said(self, missing: int) -> str:
        assert self._note is not None  # noqa: S101 - the callers looked
        return self._note.replace("{n}", f"{missing:,}")
