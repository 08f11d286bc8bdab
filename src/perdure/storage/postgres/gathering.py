"""The transaction that a group's rows go to: two round trips for most, one to lock and to learn, one to write and commit.

Here: `PostgresGathering`. Not here: what is gathered (`storage/tables/gathering.py`), when, and what if it fails
(`transactions.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from perdure.codec import text_to_bytes
from perdure.storage.postgres.learning import questions, unknown_indexes
from perdure.storage.postgres.locks import key_of_all, keys_of
from perdure.storage.postgres.numbers import BLOCKS, Numbers
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.parameters import Bytes, Cells, Ints, columns_in, columns_of
from perdure.storage.postgres.paths import Declared, declared_of, rows_of
from perdure.storage.postgres.statements import Statements
from perdure.storage.postgres.talking import Said, say, say_all
from perdure.storage.tables.gathering import CHAIN, LOG, NAMESPACE, THREAD, Gathering
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import SOURCES, Prepared
from perdure.storage.tables.statements import (
    ADD_CHECKPOINT,
    ADD_ITEM,
    ADD_STAGED,
    ADD_VERSION,
    ADD_WRITE,
    END_VERSION,
    IN_ORDER,
    MOVE_END,
    REMOVE_STAGED,
    REMOVE_STAGED_OF,
    REMOVE_WRITES,
    REMOVE_WRITES_OF,
    SET_ITEM,
)

__all__ = ["PostgresGathering"]

_Row = tuple[Any, ...]
_SAME_TABLE: Final = (
    (REMOVE_WRITES, ADD_WRITE),
    (REMOVE_WRITES_OF, ADD_WRITE),
    (REMOVE_WRITES, REMOVE_WRITES_OF),
    (REMOVE_STAGED, ADD_STAGED),
    (REMOVE_STAGED_OF, ADD_STAGED),
    (REMOVE_STAGED, REMOVE_STAGED_OF),
    (MOVE_END, ADD_VERSION),
    (MOVE_END, END_VERSION),
)
_SOURCE: Final = 5  # its place in a row of a checkpoint
_SOURCE_TEXTS: Final = tuple(map(text_to_bytes, SOURCES))


class PostgresGathering(Gathering):
    """One group within one transaction.

    Args:
        connection: in no transaction.
        statements: of the schema.
        numbers: of this process.
        known: nothing but indexes.
        wait: how long it may take to get a lock, as lock_timeout has it; "" is as long as the session is told; None: no name is
            waited for.

    Attributes:
        taken: keys of names that others have, so they are not locked.
    """

    __slots__ = ("_connection", "_numbers", "_paths", "_statements", "_wait", "taken")

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        numbers: Numbers,
        known: Known,
        wait: str | None = "",
    ) -> None:
        super().__init__(known)
        self._wait = wait
        self.taken: set[int] = set()
        self._connection = connection
        self._statements = statements
        self._numbers = numbers
        self._paths: Sequence[
            Declared
        ] = ()  # as they stay: none is declared or dropped while a commit is under way

    # -- the first round trip ------------------------------------------------------------------------------------------

    def begin(
        self, members: Sequence[Prepared], limits: bytes | None, asked: Sequence[bytes]
    ) -> tuple[list[int], dict[bytes, int]]:
        """Within a transaction that holds all locks, but those that are `taken`, all is known.

        Args:
            members: commits.
            limits: what the transaction is to be told first.
            asked: ids of commits that may have been made.

        Returns:
            A seq for each member; and of `asked` those that were made, with theirs.
        """
        statements, schema = self._statements, self._statements.schema
        said: list[Said] = [(statements["begin_write"].text, ())]
        if limits:
            said.append((limits, ()))
        keys = keys_of(members, schema, unknown_indexes(members, self.known.indexes))
        drawn = len(said)
        said.append(self.locking(keys, len(members)))
        if asked:
            said.append((statements["seqs_of_commits"].text, (Bytes(asked),)))
        numbers = [kind for kind, missing in self._missing(members) for _ in range(missing)]
        said += [(statements[BLOCKS[kind]].text, ()) for kind in numbers]
        wanted = questions(members, self.known, self.filing, statements)
        if any(member.known_items for member in members):
            wanted.append(((statements["declared_paths"].text, ()), self._declared))
        said += [question for question, _ in wanted]
        answers = say_all(self._connection, said)
        if self._wait is None and keys is not None:
            self.taken = {key for taken, key in answers[drawn] if taken}
            seqs = [seq for taken, seq in answers[drawn] if not taken]
        else:
            seqs = [seq for (seq,) in answers[drawn]]
        made: dict[bytes, int] = dict(answers[drawn + 1]) if asked else {}
        at = drawn + (2 if asked else 1)
        for kind, ((first,),) in zip(numbers, answers[at:], strict=False):
            self._numbers.add(kind, first)
        at += len(numbers)
        for (_, take), answer in zip(wanted, answers[at:], strict=True):
            take(answer)
        return seqs, made

    def locking(self, keys: Sequence[int] | None, count: int) -> Said:
        """What locks these, or all if None, and draws seqs."""
        statements, all_of_them, wait = self._statements, key_of_all(self._statements.schema), self._wait
        if keys is None:
            return statements["lock_all"].text, (all_of_them, count, wait or "")
        if wait is None:
            return statements["lock_free"].text, (Ints(keys), all_of_them, count)
        if wait and len(keys) == count == 1:
            return statements["lock_one"].text, (keys[0], all_of_them, wait)
        if wait:
            return statements["lock_briefly"].text, (Ints(keys), all_of_them, count, wait)
        return statements["lock"].text, (Ints(keys), all_of_them, count)

    def _declared(self, rows: list[_Row]) -> None:
        self._paths = declared_of(rows)

    def _missing(self, members: Sequence[Prepared]) -> list[tuple[int, int]]:
        """How often each sequence is to be asked, if all names were new."""
        chains, threads, logs, spaces = 0, 0, 0, 0
        for member in members:
            chains += len(member.chains)
            threads += len(member.chains) + len(member.threads)
            logs += len(member.segments)
            spaces += len(member.known_items)
        wanted = ((THREAD, threads), (CHAIN, chains), (LOG, logs), (NAMESPACE, spaces))
        # Nearly all names are old: of many, some may be asked for later, one round trip each 32.
        return [(kind, self._numbers.missing(kind, min(count, 32))) for kind, count in wanted]

    # -- questions ---------------------------------------------------------------------------------------------------

    def ask(self, name: str, *values: bytes | int) -> list[_Row]:
        """The answer of a block, now."""
        block = self._statements[name]
        return say(self._connection, block.text, columns_of(block.kinds, [values]) if block.kinds else values)

    def ask_all(self, name: str, rows: list[_Row]) -> None:
        """Runs a block for many rows of values, now."""
        self.ask_many(name, rows)

    def ask_many(self, name: str, rows: Iterable[_Row]) -> list[_Row]:
        """Answers about many rows of values."""
        block, wanted = self._statements[name], list(rows)
        return say(self._connection, block.text, columns_of(block.kinds, wanted)) if wanted else []

    def learn(self, members: Sequence[Prepared]) -> None:
        """All that the members touch is known from now on: their names are locked already."""
        wanted = questions(members, self.known, self.filing, self._statements)
        answers = say_all(self._connection, [question for question, _ in wanted])
        for (_, take), answer in zip(wanted, answers, strict=True):
            take(answer)

    def next_number(self, kind: int) -> int:
        """One that nobody else gets; of indexes, which are few, the next."""
        if kind not in BLOCKS:
            return self.greatest_index() + 1
        if self._numbers.missing(kind, 1):
            ((first,),) = self.ask(BLOCKS[kind])
            self._numbers.add(kind, first)
        return self._numbers.take(kind)

    def greatest_index(self) -> int:
        """The greatest number of an index, those that are not written yet included."""
        ((number,),) = self.ask("greatest_index")
        return number + self.filing.new_indexes

    # -- the last round trip -----------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes what was gathered, in the order of effects: a statement a table, in one round trip."""
        if said := self._gathered():
            say_all(self._connection, said)

    def commit(self) -> None:
        """As `flush`, with the end of the transaction."""
        say_all(self._connection, [*self._gathered(), (self._statements["commit"].text, ())])

    def _gathered(self) -> list[Said]:
        """A statement a table; tables that get many rows share one, where none of them may see what another did."""
        self.settle_items()
        rows, statements = self.rows, self._statements
        said: list[Said] = []
        many: list[str] = []
        for name in IN_ORDER:
            values = rows.get(name)
            if not values:
                continue
            block, prepare = statements[name], _PREPARE.get(name)
            if len(values) == len(block.kinds) and block.of_one is not None:
                said.append((block.of_one, Cells(values if prepare is None else prepare([tuple(values)])[0])))
                continue
            many.append(name)
            if prepare is None:
                said.append((block.text, columns_in(block.kinds, values)))
            else:
                one = iter(values)
                prepared = prepare(list(zip(*[one] * len(block.kinds), strict=True)))
                said.append((block.text, columns_of(block.kinds, prepared)))
        filed = self._filed(rows)
        self.rows = {}
        self.touched = set()
        if len(many) > 1 and not _touching(rows, lambda name: len(statements[name].kinds)):
            text = statements.combined(tuple(many))
            if text is not None:
                whole = [
                    (text, [column for _, values in said if type(values) is not Cells for column in values])
                ]
                return [*[one for one in said if type(one[1]) is Cells], *whole, *filed]
        return [*said, *filed]

    def _filed(self, rows: dict[str, list[Any]]) -> list[Said]:
        """What stands at declared paths of items that were written."""
        versions = rows.get(ADD_VERSION)
        if not self._paths or not versions:
            return []
        new = rows.get(ADD_ITEM, [])[:: len(self._statements[ADD_ITEM].kinds)]
        said: list[Said] = []
        kept, gone = rows_of(self._paths, versions, new)
        for name, some in (("set_path_values", kept), ("remove_path_values", gone)):
            if some:
                block = self._statements[name]
                said.append((block.text, columns_of(block.kinds, some)))
        return said


def _touching(rows: dict[str, list[Any]], width: Callable[[str], int]) -> bool:
    """Whether one statement may change rows that another adds or changes: then each is to see what the one before did."""
    if any(out in rows and into in rows for out, into in _SAME_TABLE):
        return True
    if SET_ITEM in rows and ADD_ITEM in rows:
        added = set(rows[ADD_ITEM][:: width(ADD_ITEM)])  # ids stand first there, last here
        last = width(SET_ITEM)
        if not added.isdisjoint(rows[SET_ITEM][last - 1 :: last]):
            return True
    if END_VERSION in rows and ADD_VERSION in rows:
        added = set(rows[ADD_VERSION][:: width(ADD_VERSION)])
        return not added.isdisjoint(rows[END_VERSION][1 :: width(END_VERSION)])
    return False


# A statement meets each row of a table once: of what a group says of one row more than once, the last word counts.


def _checkpoints(rows: list[_Row]) -> list[_Row]:
    last = {row[:2]: row for row in rows} if len(rows) > 1 else {(): rows[0]}
    return [
        (*row[:_SOURCE], _SOURCE_TEXTS[row[_SOURCE]], *row[_SOURCE + 1 :])
        if type(row[_SOURCE]) is int
        else row
        for row in last.values()
    ]


def _writes(rows: list[_Row]) -> list[_Row]:
    found: dict[_Row, _Row] = {}
    for row in rows:
        if row[3] < 0 or row[:4] not in found:  # of ordinary ones the first stands
            found[row[:4]] = row
    return list(found.values())


def _ends(rows: list[_Row]) -> list[_Row]:
    return list({row[1]: row for row in rows}.values())


_PREPARE: Final[dict[str, Callable[[list[_Row]], list[_Row]]]] = {
    ADD_CHECKPOINT: _checkpoints,
    ADD_WRITE: _writes,
    MOVE_END: _ends,
}
