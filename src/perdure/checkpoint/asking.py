"""What a list of checkpoints is asked for: read once from the arguments, and refused there if it cannot be right. Pure.

Imports `places`, `rows`; `face.py`, `reading.py` and `pregel` come in.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from perdure.checkpoint.base import get_checkpoint_id
from perdure.checkpoint.base.values import RunnableConfig
from perdure.checkpoint.places import Selection, selection_of
from perdure.checkpoint.rows import plain
from perdure.errors import EncodingError

__all__ = ["Query", "before_of", "filter_of", "limit_of", "query_of"]

_PAGE: Final = 8  # the first page; later ones are larger
_MOST_AT_ONCE: Final = 128
_FILTER_KEY: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Query:
    """What to list, and how much is still wanted."""

    where: Selection
    filter: Mapping[str, Any] | None
    before: str | None
    limit: int | None
    size: int = _PAGE


def query_of(config: RunnableConfig | None, filter: object, before: object, limit: object) -> Query | None:
    """The query of `list`'s arguments; None: nothing is wanted.

    Raises:
        ValueError: one of them cannot be right; the message names it.
    """
    where = selection_of(config)
    wanted = filter_of(filter)
    for key in wanted:
        if not isinstance(key, str) or _FILTER_KEY.fullmatch(key) is None:
            raise ValueError(
                f"Invalid filter key: {key!r}. Metadata are filtered by keys of letters, digits, '_', '.' and '-'."
            )
    newest = before_of(before)
    most = limit_of(limit)
    if most == 0:
        return None
    compared = {str(key): _compared(key, value) for key, value in wanted.items()}
    # One more: the last row of a page may be left to the next.
    size = _PAGE if compared or most is None else max(_PAGE, min(most + 1, _MOST_AT_ONCE))
    return Query(where, compared, newest, most, size)


def limit_of(limit: object) -> int | None:
    """The number; None: all."""
    if limit is None:
        return None
    try:
        number = -1 if isinstance(limit, bool) else operator.index(cast("int", limit))
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"limit={limit!r}: give a whole number from 0, or None for all.")
    return number


def before_of(before: object) -> str | None:
    """The id of the checkpoint that `before` names; None: it was not given."""
    if before is None:
        return None
    config: Mapping[str, object] = {}
    if isinstance(before, Mapping):
        config = cast("Mapping[str, object]", before)
    configurable = config.get("configurable")
    id = None
    if isinstance(configurable, Mapping):
        given = cast("Mapping[str, object]", configurable)
        named = given.get("checkpoint_id") or given.get("thread_ts")  # its name of long ago
        if not isinstance(named, int | float | list | dict):
            id = get_checkpoint_id(config)
    if id is None:
        raise ValueError(
            f"before={before!r} names no checkpoint: give the config of one, "
            "{'configurable': {'thread_id': ..., 'checkpoint_id': '...'}}."
        )
    return id


def filter_of(filter: object) -> Mapping[object, object]:
    """The filter; none where it was not given."""
    if filter is None:
        return {}
    if not isinstance(filter, Mapping):
        raise ValueError(  # noqa: TRY004 - as for the other arguments
            f"filter={filter!r}: give a dict of metadata that must be equal, such as {{'source': 'input'}}."
        )
    return cast("Mapping[object, object]", filter)


def _compared(key: object, value: object) -> object:
    """The value as metadata are stored."""
    try:
        return plain(value, f"filter[{key!r}]")
    except (EncodingError, RecursionError) as error:
        raise ValueError(
            f"filter[{key!r}] is a {type(value).__qualname__} that no metadata can equal: they hold plain values "
            "(strings, numbers, booleans, None, lists, dicts)."
        ) from error
