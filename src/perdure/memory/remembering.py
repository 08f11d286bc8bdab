"""`remember`: a node that stores what a user's function finds worth it, each fact once.

A fact's key is a hash of what it says, so the same fact is the same item, whichever run says it and however often.
Here: facts, their keys, the node. Not here: finding the facts; that is the user's function, with a model or without.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from perdure.errors import PerdureError
from perdure.memory.node import MemoryNode, Namespaces, OfState, Place, Reach, Ttl, user_function
from perdure.storage.item_codec import ItemCodec
from perdure.store.base import NOT_PROVIDED

__all__ = ["Fact", "content_key", "remember"]

Fact: TypeAlias = "str | Mapping[str, Any] | tuple[str, str | Mapping[str, Any]]"
"""Text, which becomes `{"text": ...}`; a JSON object; or (key, either of these)."""

_FORM: Final = (
    "Give None, a text, a dict, a pair (key, text or dict), or a list of such things. Nothing was written"
)
_codec: Final = ItemCodec()


class _Known(NamedTuple):
    """A fact, ready to be put."""

    key: str
    value: dict[str, Any]
    by_content: bool  # its key says what it says


def content_key(fact: str | Mapping[str, Any]) -> str:
    """The key that `remember` files this fact under: 32 hexadecimal digits of a hash of its content.

    Equal for facts that say the same: white space at the ends and the amount of it within, the order of fields, and
    Unicode's several forms of one character (NFC) do not count; letter case does. Text is as `{"text": ...}`.

    Args:
        fact: text, or a JSON object.

    Raises:
        EncodingError: it is no JSON object; the path leads to the part.
    """
    return _hashed(_plain({"text": fact} if isinstance(fact, str) else fact))


def remember(
    extract: OfState,
    *,
    namespace: Namespaces,
    key: Callable[[dict[str, Any]], str] | None = None,
    rewrite: bool = False,
    index: Literal[False] | list[str] | None = None,
    ttl: Ttl = NOT_PROVIDED,
    name: str = "remember",
) -> MemoryNode:
    """A node that stores the facts which `extract` finds in the state; it returns no update.

    What it writes is staged: it commits with the step, or not at all. A fact that is there already is left alone, without
    a new version; so saying it again, a replay and a retry leave one item, in its first version. If two runs say a new
    fact at the same moment, it is one item of two versions. Reading it, as always, begins the time of an item that
    expires anew. For blocking and async runs, unless `extract` is async only.

    Args:
        extract: gets the state, and `runtime`, `config`, `store`, `writer` if it names such parameters, like a node; sync
            or async, or a `Runnable`. Gives None, a fact, or several: a text (which is stored as `{"text": ...}`), a dict,
            or a pair (key, text or dict), which replaces what stands at that key if it says something else. A blank
            text is no fact.
        namespace: where they are filed, as in `recall`; at least one label.
        key: a fact's key from its value, instead of `content_key`; then a fact replaces what stands there, too.
        rewrite: whether a fact that is there already is written again, as a new version.
        index: what of it is to be found, as in `put`.
        ttl: minutes to live, as in `put`.
        name: of the node.

    Raises:
        TypeError: `extract` cannot be called with the state.
        ScopeError: `namespace` is no template. The node raises it for a call that does not fill it in.
        PerdureError: raised by the node: `extract` gave something else, and what `put` raises.
    """
    return _Remember(extract, namespace, key, rewrite, {"index": index, "ttl": ttl}, name)


class _Remember(MemoryNode):
    def __init__(
        self,
        extract: OfState,
        namespace: Namespaces,
        key: Callable[[dict[str, Any]], str] | None,
        rewrite: bool,
        options: dict[str, Any],
        name: str,
    ) -> None:
        super().__init__(name)
        self._extract = user_function(extract, "remember(extract)")
        self._place = Place(namespace, "remember", least=1)
        self._key_of = key
        self._rewrite = rewrite
        self._options = options

    async def run(self, state: object, reach: Reach) -> None:
        """Stages what is new."""
        made = await reach.answer(self._extract, state)
        facts = {fact.key: fact for fact in self._facts(made)}  # of several for one key the last counts
        if not facts:
            return
        where = await self._place.namespace(state, reach)
        standing = await reach.get_many([(where, key) for key in facts])
        for fact, item in zip(facts.values(), standing, strict=True):
            known = item is not None and (fact.by_content or _text(item.value) == _text(fact.value))
            if self._rewrite or not known:
                await reach.put(where, fact.key, fact.value, self._options)

    def _facts(self, made: object) -> Iterable[_Known]:
        if made is None:
            return
        several = cast("Iterable[object]", made)
        if isinstance(made, str | Mapping | tuple):
            several = [cast("object", made)]
        elif isinstance(made, bytes) or not isinstance(made, Iterable):
            raise self._wrong(made)
        for one in several:
            fact = self._fact(one)
            if fact is not None:
                yield fact

    def _fact(self, one: object) -> _Known | None:
        named: object = None
        given: object = one
        if isinstance(one, tuple):
            pair = cast("tuple[object, ...]", one)
            if len(pair) != 2 or not isinstance(pair[0], str) or not pair[0]:
                raise self._wrong(pair)
            named, given = pair
        if isinstance(given, str):
            if not given.strip():
                return None
            given = {"text": given}
        if not isinstance(given, Mapping):
            raise self._wrong(one)  # pyright: ignore[reportUnknownArgumentType] - a tuple of whatever
        value = _plain(cast("Mapping[str, Any]", given))
        if isinstance(named, str):
            return _Known(named, value, by_content=False)
        if self._key_of is None:
            return _Known(_hashed(value), value, by_content=True)
        key = self._key_of(value)
        if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise PerdureError(
                f"{self.name}: key= gave {key!r} for a fact; a key is text that is not empty. Nothing was written."
            )
        return _Known(key, value, by_content=False)

    def _wrong(self, made: object) -> PerdureError:
        shown = repr(made)
        return PerdureError(
            f"{self.name}: {self._extract.name} gave {shown[:80]}{'...' * (len(shown) > 80)}, a"
            f" {type(made).__name__}, which is no fact. {_FORM}."
        )


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as a store gives it back: a copy, tuples as lists. Raises EncodingError."""
    return _codec.decode((), "", _codec.encode((), "", value))


def _text(value: Mapping[str, Any]) -> str:
    """The same for equal JSON objects and no others."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hashed(value: Mapping[str, Any]) -> str:
    text = _text(cast("dict[str, Any]", _normalised(value)))
    return blake2b(text.encode(), digest_size=16, person=b"perdure fact").hexdigest()


def _normalised(value: object) -> object:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split())
    if isinstance(value, dict):
        return {name: _normalised(inner) for name, inner in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_normalised(inner) for inner in cast("list[object]", value)]
    return value
