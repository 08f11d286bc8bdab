"""Memory contracts in Perdure's stores, as functions that raise AssertionError.

`CONTRACT_CHECKS` and `ASYNC_CONTRACT_CHECKS` belong to the suite of `stores.py`. Give each check a function that opens
a store with these contracts; all stores that it opens look at one database, which is empty at first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NotRequired, TypeAlias, TypedDict, TypeVar

from perdure.errors import ContractError, QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import Contract, PutOp
from perdure.testing.fake_clock import FakeClock

__all__ = ["ASYNC_CONTRACT_CHECKS", "CONTRACT_CHECKS", "Open"]

Open: TypeAlias = Callable[[Sequence[Contract]], ItemStore]
E = TypeVar("E", bound=BaseException)

ADA: Final = ("users", "ada", "profile")
BOB: Final = ("users", "bob", "profile")
EVERY: Final = ("users", "*", "profile")
NOTES: Final = ("users", "ada", "notes")


class Profile(TypedDict):
    """As it was first."""

    name: str
    age: NotRequired[int]


@dataclass
class Newer:
    """The name in two, and tags."""

    first: str
    last: str
    tags: list[str]
    age: int = 0


FIRST: Final = Contract(EVERY, Profile)


def split(value: dict[str, Any], version: int) -> dict[str, Any]:
    """A `Profile` as a `Newer`; of what was written under no contract, the name may be missing."""
    name = value.pop("name", "nobody" if version == 0 else None)
    first, _, last = name.partition(" ")
    return {**value, "first": first, "last": last, "tags": [f"from {version}"]}


SECOND: Final = Contract(EVERY, Newer, version=2, migrate=split)


def a_value_that_breaks_its_contract_is_refused(open_: Open) -> None:
    """However it is put; nothing of the batch is written. The error says which item, which part, what was expected."""
    store = open_([FIRST])
    store.put(ADA, "me", {"name": "Ada", "age": 36})
    store.put(NOTES, "free", {"anything": [1]})

    error = _raises(ContractError, lambda: store.put(ADA, "me", {"name": "Ada", "age": "36"}))
    assert (error.namespace, error.key, error.path) == (ADA, "me", "value.age")
    assert error.expected == "an int"
    assert (error.version, error.written_under) == (1, None)
    for part in ("'me'", repr(ADA), "value.age", "an int", "Profile", "Nothing was written"):
        assert part in str(error), part
    wrong: list[Any] = [{}, {"name": None}, {"name": "Ada", "nick": "A"}, {"name": "Ada", "age": True}]
    for value in wrong:
        _raises(ContractError, lambda value=value: store.put(BOB, "me", value))
        _raises(
            ContractError,
            lambda value=value: store.batch([PutOp(BOB, "b", {"name": "Bob"}), PutOp(BOB, "me", value)]),
        )
        _raises(
            ContractError,
            lambda value=value: store.put_many([(BOB, "c", {"name": "Bob"}), (BOB, "me", value)]),
        )
        _raises(ContractError, lambda value=value: store.update(ADA, "me", lambda old: value))
    assert store.search(BOB) == []
    assert _value(store, ADA, "me") == {"name": "Ada", "age": 36}
    assert len(store.history(ADA, "me")) == 1


def the_most_exact_contract_holds(open_: Open) -> None:
    """At the first label where two differ: a label before one star, one star before two; the end before two."""

    def one(*namespace: str) -> Contract:
        kind: Any = TypedDict(f"At_{len(kinds)}", {"-".join(namespace): int})  # type: ignore[misc] - one for each
        kinds.append(kind)
        return Contract(namespace, kind)

    kinds: list[Any] = []
    patterns = [
        ("**",),
        ("users", "**"),
        ("users",),
        ("users", "*", "profile"),
        ("users", "ada", "**"),
        ("**", "notes"),
    ]
    store = open_([one(*pattern) for pattern in patterns])
    holds = {
        ("else",): ("**",),
        ("users",): ("users",),
        ("users", "bob"): ("users", "**"),
        ("users", "bob", "profile"): ("users", "*", "profile"),
        ("users", "ada", "profile"): ("users", "ada", "**"),
        ("users", "bob", "notes"): ("users", "**"),
        ("deep", "in", "notes"): ("**", "notes"),
        ("notes",): ("**", "notes"),
    }
    for namespace, pattern in holds.items():
        store.put(namespace, "k", {"-".join(pattern): 1})
        _raises(ContractError, lambda namespace=namespace: store.put(namespace, "k", {"other": 1}))


def older_items_are_brought_up_to_date_when_they_are_read(open_: Open) -> None:
    """By every read, before filters and orders look at them; what is stored stays as it was written."""
    before = open_([])
    revision = _revision_of(before, ADA, "old", {"age": 3})
    first = open_([FIRST])
    watch_from = _revision_of(first, ADA, "me", {"name": "Ada L", "age": 36})
    first.put(BOB, "me", {"name": "Bob B"})
    store = open_([SECOND])
    store.put(BOB, "new", {"first": "Z", "last": "Z", "tags": []})

    ada = {"first": "Ada", "last": "L", "tags": ["from 1"], "age": 36}
    assert _value(store, ADA, "me") == ada
    assert _value(store, ADA, "old") == {"first": "nobody", "last": "", "tags": ["from 0"], "age": 3}
    assert [item.value for item in store.search(("users",), filter={"first": "Ada"})] == [ada]
    assert store.search(("users",), filter={"name": "Ada L"}) == []
    assert [item.key for item in store.search(("users",), order_by="value.first")] == [
        "me",
        "me",
        "new",
        "old",
    ]
    assert store.count(("users",), filter={"tags[*]": "from 1"}) == 2
    assert [one and one["first"] for one in (version.value for version in store.history(ADA, "me"))] == [
        "Ada"
    ]
    assert [version.contract for version in store.history(ADA, "me")] == [1]
    assert _value(store.at(watch_from), ADA, "me") == ada
    changes = store.watch(("users",), since=revision).next(5)
    assert changes is not None
    assert [event.value for event in changes] == [ada]

    assert _value(before, ADA, "me") == {"name": "Ada L", "age": 36}
    changed = store.update(ADA, "me", lambda value: {**(value or {}), "age": 37})
    assert changed is not None
    assert changed.value == {**ada, "age": 37}
    assert _value(before, ADA, "me") == {**ada, "age": 37}
    assert [version.contract for version in store.history(ADA, "me")] == [2, 1]


def what_is_told_of_the_past_is_what_was_written(open_: Open) -> None:
    """Differences, who wrote what, and what is taken back, know no contract's present version."""
    first = open_([FIRST])
    then = _revision_of(first, ADA, "me", {"name": "Ada L"})
    between = _revision_of(first, ADA, "me", {"name": "Ada", "age": 1})
    store = open_([SECOND])

    (difference,) = store.diff(then, between)
    assert (difference.before, difference.after) == ({"name": "Ada L"}, {"name": "Ada", "age": 1})
    blame = store.blame(ADA, "me")
    assert blame is not None
    assert blame.version.value == {"name": "Ada", "age": 1}
    assert blame.version.contract == 1
    assert set(blame.fields) == {"name", "age"}
    done = store.revert(since=then)
    assert [(one.before, one.after) for one in done.items] == [({"name": "Ada", "age": 1}, {"name": "Ada L"})]
    assert _value(first, ADA, "me") == {"name": "Ada L"}
    assert _value(store, ADA, "me") == {"first": "Ada", "last": "L", "tags": ["from 1"]}
    assert [version.contract for version in store.history(ADA, "me")] == [1, 1, 1]


def a_later_version_is_not_read(open_: Open) -> None:
    """By who has an older contract; who has none sees it as it is. It can be replaced, deleted and counted."""
    open_([SECOND]).put(ADA, "me", {"first": "Ada", "last": "L", "tags": []})
    store = open_([Contract(EVERY, Profile, migrate=_gives({"name": "not asked"}))])

    for read in (
        lambda: store.get(ADA, "me"),
        lambda: store.search(("users",)),
        lambda: store.history(ADA, "me"),
        lambda: store.update(ADA, "me", lambda value: value),
    ):
        error = _raises(ContractError, read)
        assert (error.namespace, error.key) == (ADA, "me")
        assert (error.version, error.written_under) == (1, 2)
        assert "knows version 1" in str(error)
    assert store.count(("users",)) == 1
    assert _value(open_([]), ADA, "me") == {"first": "Ada", "last": "L", "tags": []}
    store.put(ADA, "me", {"name": "Ada"})
    assert _value(store, ADA, "me") == {"name": "Ada"}


def what_cannot_be_brought_up_to_date_is_an_error(open_: Open) -> None:
    """Of a reader that meets it: `migrate` raised, gave nonsense, or there is none and the old value does not fit."""
    first = open_([FIRST])
    first.put(ADA, "me", {"name": "Ada"})
    first.put(NOTES, "free", {"text": "tea"})

    def fails(value: dict[str, Any], version: int) -> dict[str, Any]:
        raise KeyError(f"{sorted(value)} {version}")

    gives: list[tuple[Any, str]] = [
        (None, "value.first is missing"),
        (fails, "KeyError"),
        (_gives(None), "JSON object"),
        (_gives({"first": {1}}), "no word"),
        (_gives({"first": 1, "last": "", "tags": []}), "value.first is an int"),
    ]
    for migrate, said in gives:
        store = open_([Contract(EVERY, Newer, version=2, migrate=migrate)])
        error = _raises(ContractError, lambda store=store: store.get(ADA, "me"))
        assert said in str(error), (said, str(error))
        assert (error.namespace, error.key, error.written_under) == (ADA, "me", 1)
        assert _value(store, NOTES, "free") == {"text": "tea"}
    same = open_([Contract(EVERY, Profile, version=7)])
    assert _value(same, ADA, "me") == {"name": "Ada"}


def what_a_filter_passes_over_is_no_error(open_: Open) -> None:
    """Where nothing brings items up to date, a filter looks at them as they are stored; only those that meet it are read."""
    plain = open_([])
    plain.put(ADA, "bad", {"name": 1, "age": 1})
    plain.put(ADA, "good", {"name": "Ada", "age": 2})
    open_([SECOND]).put(ADA, "later", {"first": "Ada", "last": "L", "tags": ["3"]})
    store = open_([FIRST])

    for order in (None, "key", "value.age"):

        def found(filter: dict[str, Any], order: str | None = order) -> list[str]:
            return [item.key for item in store.search(("users",), filter=filter, order_by=order)]

        assert found({"name": "Ada"}) == ["good"]
        assert found({"age": {"$gte": 2}}) == ["good"]
        assert found({"first": "Eve"}) == []
        for filter, key in (
            ({"name": 1}, "bad"),
            ({"age": {"$lt": 2}}, "bad"),
            ({"name": {"$in": ["Ada", 1]}}, "bad"),
            ({"age": {"$exists": False}}, "later"),
            ({"tags[*]": "3"}, "later"),
        ):
            assert _raises(ContractError, lambda found=found, filter=filter: found(filter)).key == key
    with suppress(QueryError):  # an encrypted store has no words
        ranked = store.search(("users",), query="Ada", filter={"name": "Ada"})
        assert [item.key for item in ranked] == ["good"], "of 'later', which has the word, nothing is read"
    assert store.count(("users",), filter={"name": "Ada"}) == 1
    assert _raises(ContractError, lambda: store.count(("users",), filter={"name": 1})).key == "bad"
    _raises(ContractError, lambda: store.delete_prefix(("users",), filter={"first": "Ada"}))
    assert store.delete_prefix(("users",), filter={"name": "Ada"}) == 1

    # What a `migrate` would make of an item is known when it has been asked: then all are read.
    store = open_([Contract(EVERY, Newer, version=2, migrate=split)])
    for filter in ({"name": "nobody"}, {"age": 7}, {"first": "Ada"}):
        assert _raises(ContractError, lambda f=filter, s=store: s.search((), filter=f)).key == "bad"


def items_are_rewritten_under_the_present_version(open_: Open) -> None:
    """In their order, each with its life, its times of creation and what of it is to be found; again, nothing is done."""
    with FakeClock(datetime(2026, 1, 1, tzinfo=UTC)) as clock:
        open_([]).put(ADA, "old", {"age": 1})
        first = open_([FIRST])
        for n in range(450):
            first.put(BOB, f"{n:03}", {"name": f"name{n} word{n}"})
        first.put(ADA, "hidden", {"name": "hidden hidden"}, index=False)
        first.put(NOTES, "free", {"text": "tea"})
        clock.advance(hours=1)
        store = open_([SECOND])
        listed = [item.key for item in store.search(("users",), limit=1000)]
        created = [item.created_at for item in store.search(BOB, limit=1000)]
        assert [item.key for item in store.search((), query="from")] == []
        told: list[Any] = []

        done = store.migrate_contracts(("users",), progress=told.append)

        assert (done.rewritten, done.left) == (452, 0)
        assert [one.rewritten for one in told] == sorted(one.rewritten for one in told)
        assert len(told) > 1
        # What has no contract stands where it stood; all others came after it, in their order.
        listed.remove("free")
        assert [item.key for item in store.search(("users",), limit=1000)] == [*listed, "free"]
        assert [item.created_at for item in store.search(BOB, limit=1000)] == created
        assert [version.origin.actor for version in store.history(BOB, "007")] == ["contract", None]
        assert _value(open_([]), BOB, "007") == {"first": "name7", "last": "word7", "tags": ["from 1"]}
        assert [item.key for item in store.search((), query="word7")] == ["007"]
        assert store.search((), query="hidden") == []
        assert store.migrate_contracts().rewritten == 0


def items_that_cannot_be_rewritten_stop_no_others(open_: Open) -> None:
    """They are told at the end."""
    first = open_([FIRST])
    for n in range(5):
        first.put(BOB, str(n), {"name": f"name{n}"})

    def picky(value: dict[str, Any], version: int) -> dict[str, Any]:
        if value["name"] in ("name1", "name3"):
            raise ValueError("not this one")
        return split(value, version)

    store = open_([Contract(EVERY, Newer, version=2, migrate=picky)])
    error = _raises(ContractError, store.migrate_contracts)
    assert error.key == "1"
    assert "1 more" in str(error)
    assert sorted(item.key for item in open_([]).search((), filter={"first": {"$exists": True}})) == [
        "0",
        "2",
        "4",
    ]
    assert open_([SECOND]).migrate_contracts().rewritten == 2
    _raises(QueryError, open_([]).migrate_contracts)


def an_export_knows_versions(open_: Open) -> None:
    """What is imported is of the version that it was exported with; what does not fit there is refused, with its line."""
    first = open_([FIRST])
    first.put(ADA, "me", {"name": "Ada L"})
    store = open_([SECOND])
    store.put(BOB, "me", {"first": "B", "last": "", "tags": []})
    lines = [dict(line) for line in store.export(history=True)]
    assert sorted(line.get("contract", 0) for line in lines[1:-1]) == [1, 2]

    store.delete_prefix(("users",))
    assert open_([]).import_(lines).written == 2
    assert _value(store, ADA, "me") == {"first": "Ada", "last": "L", "tags": ["from 1"]}
    assert store.import_(lines).unchanged == 2
    store.delete_prefix(("users",))
    _raises(ContractError, lambda: first.import_(lines))
    bad = [{**line, "value": {"first": 1}} if line.get("contract") == 2 else line for line in lines]
    error = _raises(ContractError, lambda: store.import_(bad))
    assert error.path == "value.first" or error.path == "value.last"
    assert "line " in str(error)


async def contracts_have_another_colour(open_: Open) -> None:
    """The same of `aput`, `aupdate`, `abatch` and `amigrate_contracts`."""
    first = open_([FIRST])
    wrong: dict[str, Any] = {"name": 1}
    refusals = 0
    for refused in (
        lambda: first.aput(ADA, "me", wrong),
        lambda: first.abatch([PutOp(ADA, "me", wrong)]),
        lambda: first.aupdate(ADA, "me", lambda value: wrong),
    ):
        try:
            await refused()
        except ContractError as error:
            refusals += error.path == "value.name"
    assert refusals == 3
    await first.aput(ADA, "me", {"name": "Ada L"})
    store = open_([SECOND])
    item = await store.aget(ADA, "me")
    assert item is not None
    assert item.value["last"] == "L"
    assert (await store.amigrate_contracts()).rewritten == 1


def _gives(made: Any) -> Any:
    def migrate(value: dict[str, Any], version: int) -> Any:
        del value, version
        return made

    return migrate


def _value(store: ItemStore, namespace: tuple[str, ...], key: str) -> dict[str, Any] | None:
    item = store.get(namespace, key)
    return None if item is None else item.value


def _revision_of(store: ItemStore, namespace: tuple[str, ...], key: str, value: dict[str, Any]) -> str:
    store.put(namespace, key, value)
    item = store.get(namespace, key)
    assert item is not None
    assert item.revision is not None
    return item.revision


def _raises(kind: type[E], act: Callable[[], object]) -> E:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


CONTRACT_CHECKS: Final[tuple[Callable[[Open], None], ...]] = (
    a_value_that_breaks_its_contract_is_refused,
    the_most_exact_contract_holds,
    older_items_are_brought_up_to_date_when_they_are_read,
    what_is_told_of_the_past_is_what_was_written,
    a_later_version_is_not_read,
    what_cannot_be_brought_up_to_date_is_an_error,
    what_a_filter_passes_over_is_no_error,
    items_are_rewritten_under_the_present_version,
    items_that_cannot_be_rewritten_stop_no_others,
    an_export_knows_versions,
)
"""All checks; give each a function that opens stores over one empty database."""
ASYNC_CONTRACT_CHECKS: Final[tuple[Callable[[Open], Awaitable[None]], ...]] = (contracts_have_another_colour,)
"""As `CONTRACT_CHECKS`, to be awaited."""
