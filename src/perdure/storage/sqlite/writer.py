"""A group of commits into one open transaction: who may, what rows, one `executemany` a table.

What the writer knows of the database is kept between groups (`known.py`), so in the common case a group asks nothing at
all before it writes. A single commit that needs no question is not even given a transaction: its
statement is one (`combined.py`).

Here: the order of effects within a commit and within a group. Not here: the transactions of groups (`transactions.py`),
who leads (`group.py`). The expectations of a member are checked before it leaves any trace, so leaving it out undoes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from perdure.codec import encode_namespace, prefix_range, text_to_bytes
from perdure.errors import PerdureError, StorageError
from perdure.storage.contract import (
    EXPIRED,
    CheckpointIs,
    ForgetItems,
    ItemIs,
    Namespace,
    Outcome,
    PruneHistory,
    PruneVersions,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Revision,
    SubtreeIs,
    ThreadIs,
    UnfileItems,
    check_items,
    stale_thread,
    unmet,
    version_conflict,
)
from perdure.storage.lifetimes import FOR_EVER, Life, life_of
from perdure.storage.sql import Queries
from perdure.storage.sqlite import checking, forgetting
from perdure.storage.sqlite.combined import Combined
from perdure.storage.sqlite.connections import C, Connection
from perdure.storage.sqlite.embedding_rows import VectorRows
from perdure.storage.sqlite.filing import MOST_INDEXES, NOWHERE, Filing
from perdure.storage.sqlite.known import ChainState, ItemState, Known
from perdure.storage.sqlite.packing import pack_id, pack_task, unpack_id
from perdure.storage.sqlite.rows import (
    NO_PATHS,
    Chain,
    Key,
    Live,
    Prepared,
    PreparedText,
    Put,
    Refile,
    Version,
)

Q: Final = Queries(
    "queries/threads.sqlite.sql",
    "queries/items.sqlite.sql",
    "queries/past.sqlite.sql",
    "queries/texts.sqlite.sql",
    "queries/forget.sqlite.sql",
    "queries/check.sqlite.sql",
)

_ASKED_AT_ONCE: Final = 64
_AFTER_ALL: Final = b"\xff"  # no UTF-8 begins with it
_LOW: Final = (1 << 32) - 1
_EXPIRED: Final = (None, None, None, text_to_bytes(EXPIRED.actor or ""))

# The statements of every commit, looked up once.
_BEGIN = C["begin_write"]
_COMMIT = C["commit"]
_ADD_COMMIT = Q["add_commit"]
_ADD_THREAD = Q["add_thread"]
_ADD_CHAIN = Q["add_chain"]
_ADD_LOG = Q["add_log"]
_ADD_RUN = Q["add_run"]
_ADD_CHECKPOINT = Q["add_checkpoint"]
_ADD_SEGMENT = Q["add_segment"]
_ADD_WRITE = Q["add_write"]
_ADD_STAGED = Q["add_staged"]
_ADD_NAMESPACE = Q["add_namespace"]
_ADD_ITEM = Q["add_item"]
_SET_ITEM = Q["set_item"]
_ADD_VERSION = Q["add_version"]
_END_VERSION = Q["end_version"]
_MOVE_END = Q["move_end"]
_ADD_INDEX = Q["add_index"]
_REMOVE_POSTING = Q["remove_posting"]
_ADD_POSTING = Q["add_posting"]
_REMOVE_TEXT = Q["remove_text"]
_SET_TEXT = Q["set_text"]
_ADD_TO_TOTALS = Q["add_to_totals"]
_REMOVE_VECTORS = Q["remove_vectors"]
_SET_VECTORS = Q["set_vectors"]
_ADD_TO_VECTOR_SPACES = Q["add_to_vector_spaces"]
_REMOVE_WRITES = Q["remove_writes"]
_REMOVE_STAGED = Q["remove_staged"]
_REMOVE_WRITES_OF = Q["remove_writes_of_task"]
_REMOVE_STAGED_OF = Q["remove_staged_of_task"]

# The order of effects at the end of a stretch: removals of finished steps, names, rows, items.
_STATEMENTS: Final = (
    _REMOVE_WRITES,
    _REMOVE_STAGED,
    _REMOVE_WRITES_OF,
    _REMOVE_STAGED_OF,
    _ADD_COMMIT,
    _ADD_THREAD,
    _ADD_CHAIN,
    _ADD_LOG,
    _ADD_RUN,
    _ADD_CHECKPOINT,
    _ADD_SEGMENT,
    _ADD_WRITE,
    _ADD_STAGED,
    _ADD_NAMESPACE,
    _ADD_ITEM,
    _ADD_VERSION,
    _END_VERSION,
    _MOVE_END,
    _SET_ITEM,
    _ADD_INDEX,
    _REMOVE_POSTING,
    _ADD_POSTING,
    _REMOVE_TEXT,
    _SET_TEXT,
    _ADD_TO_TOTALS,
    _REMOVE_VECTORS,
    _SET_VECTORS,
    _ADD_TO_VECTOR_SPACES,
)
_EMBEDDING: Final = (_REMOVE_VECTORS, _SET_VECTORS, _ADD_TO_VECTOR_SPACES)  # as `Gathered`
_FILING: Final = (
    _ADD_INDEX,
    _REMOVE_POSTING,
    _ADD_POSTING,
    _REMOVE_TEXT,
    _SET_TEXT,
    _ADD_TO_TOTALS,
)  # as `Rows`
_ORDER: Final = {statement: place for place, statement in enumerate(_STATEMENTS)}.__getitem__


def range_of(prefix: Namespace) -> tuple[bytes, bytes]:
    """The names of a subtree's namespaces, as a range."""
    first, end = prefix_range(prefix)
    return first, _AFTER_ALL if end is None else end


class GroupWriter:
    """One group within one transaction.

    `begun` False: there is no transaction yet. It begins with the first statement that needs one; what was read before is
    proved by `add_commit`, which fails if anybody else made the commit of that number.
    """

    __slots__ = (
        "_begun",
        "_db",
        "_filed",
        "_filing",
        "_known",
        "_removed",
        "_rows",
        "_set_items",
        "_touched",
        "_vectors",
    )

    def __init__(self, connection: Connection, known: Known, *, begun: bool = True) -> None:
        self._db = connection
        self._known = known
        self._begun = begun
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._touched: set[bytes] = set()  # threads with rows that are not written yet
        self._set_items: dict[int, tuple[Any, ...]] = {}  # id -> the values of `set_item`
        self._filing = Filing(known)
        self._vectors = VectorRows()
        self._filed: dict[int, bool] = {}  # items filed, and whether they had terms before
        self._removed = False

    def write(self, members: Sequence[Prepared]) -> list[Outcome]:
        """One outcome a member; the rows of those that may are in the transaction.

        Raises:
            sqlite3.Error: the database refused; nothing in the transaction may be kept.
        """
        if self._known.seq < 0:
            ((self._known.seq,),) = self._ask("newest_seq")
        self._learn(members)
        outcomes: list[Outcome] = []
        for member in members:
            if self._removed:
                self._learn((member,))
            try:
                outcomes.append(self._member(member))
            except PerdureError as error:
                outcomes.append(error)
            else:
                self._touched |= member.threads
                self._touched.update([chain[0] for chain in member.chains])
        self._flush()
        if self._removed:
            self._known.forget()
        return outcomes

    def write_alone(self, member: Prepared, combined: Combined) -> Revision:
        """The commit of a member that `Known.covers`, in a transaction of its own, with its end: one statement if possible.

        Raises:
            StaleThread: as `VersionConflict`; by what is known, which may be out of date. There is no transaction.
            sqlite3.IntegrityError: what is known is out of date, or a segment exists. As any other error: nothing of
                it may be kept, neither what is known nor the transaction, if there is one.
        """
        revision = self._member(member)
        if not self._begun:
            self._gather_set_items()
            kinds: list[str] = []
            values: list[Any] = []
            for kind in sorted(self._rows, key=_ORDER):
                for row in self._rows[kind]:
                    kinds.append(kind)
                    values += row
            text = combined.text(self._db, tuple(kinds))
            if text is not None:
                self._db.execute(text, values)
                return revision
        self._flush()
        self._db.execute(_COMMIT)
        return revision

    def _begin(self) -> None:
        if not self._begun:
            self._db.execute(_BEGIN)
            self._begun = True

    # -- knowing -----------------------------------------------------------------------------------------------------

    def _ask(self, name: str, *values: bytes | int) -> list[tuple[Any, ...]]:
        self._begin()
        return self._db.execute(Q[name], values).fetchall()

    def _ask_all(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        self._db.executemany(Q[name], rows)

    def _ask_many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Answers about many rows of values, in few questions. Padded, so that few texts of the block are ever compiled."""
        self._begin()
        found: list[tuple[Any, ...]] = []
        wanted = list(rows)
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            size = next(size for size in (1, 2, 8, _ASKED_AT_ONCE) if size >= len(part))
            padded = part + [part[-1]] * (size - len(part))
            text = Q.repeated(name, size)
            found += self._db.execute(text, [value for row in padded for value in row]).fetchall()
        return found

    def _learn(self, members: Sequence[Prepared]) -> None:
        known = self._known
        chains = {chain for member in members for chain in member.chains if chain not in known.chains}
        threads = {name for member in members for name in member.threads if name not in known.threads}
        chains |= {(name, b"") for name in threads}
        if chains:
            for name, ns, thread, chain, head, seq in self._ask_many("find_chains", chains):
                known.chains[name, ns] = ChainState(thread or 0, chain or 0, head, seq or 0)
                if thread:
                    known.threads[name] = thread
        logs = {
            (known.threads[segment[0]], segment[1])
            for member in members
            for segment in member.segments
            if segment[0] in known.threads
        }
        logs = {log for log in logs if log not in known.logs}
        if logs:
            for thread, log, number in self._ask_many("find_logs", logs):
                known.logs[thread, log] = number
        keys = {key for member in members for key in member.known_items if key not in known.items}
        if keys:
            self._learn_items(keys)
        self._learn_texts(members)

    def _learn_texts(self, members: Sequence[Prepared]) -> None:
        changed = [put for member in members for put in (*member.items, *member.filings, *member.lives)]
        if changed:
            states = [self._known.items.get(put.item) for put in changed]
            items = list(dict.fromkeys(state.id for state in states if state is not None and state.length))
            names = {put.text.analysis for put in changed if put.text is not None}
            names |= {put.vectors.model for put in changed if put.vectors is not None}
            self._filing.learn(items, names, self._ask_many)

    def _learn_items(self, keys: set[Key]) -> None:
        spaces = {space for space, _ in keys if space not in self._known.namespaces}
        for name, number, most in self._ask_many("find_namespaces", [(space,) for space in spaces]):
            self._known.namespaces[name] = (number, most or 0)
        wanted = {
            (self._known.namespaces[space][0], key): (space, key)
            for space, key in keys
            if space in self._known.namespaces
        }
        for number, key, *state in self._ask_many("find_items", wanted):
            id, version, alive, created, updated, idx, length, paths, model, *life = state
            self._known.items[wanted[number, key]] = ItemState(
                id, version, alive == 1, created, updated, idx, length or 0, paths, model, Life(*life)
            )

    def _numbers(self) -> list[int]:
        """The greatest number of a thread (0), chain (1), log (2), namespace (3) and index (4)."""
        if self._known.last is None:
            self._known.last = list(self._ask("greatest_numbers")[0])
        return self._known.last

    def _next(self, kind: int) -> int:
        numbers = self._numbers()
        numbers[kind] += 1
        return numbers[kind]

    def _check_indexes(self, member: Prepared) -> None:
        """Raises StorageError if the member needs more indexes than there are numbers for."""
        known = self._known.indexes
        new = {
            name
            for put in (*member.items, *member.filings)
            for name in (put.text and put.text.analysis, put.vectors and put.vectors.model)
            if name and name not in known
        }
        if new and self._numbers()[4] + len(new) > MOST_INDEXES:
            raise StorageError(
                f"a database has at most {MOST_INDEXES} ways of indexing (languages, fields, embedding models), and this"
                " would be one more. Nothing was written. Open the store with an `index=` that was used before."
            )

    def _thread(self, name: bytes) -> int:
        number = self._known.threads.get(name)
        if number is None:
            number = self._known.threads[name] = self._next(0)
            self._add(_ADD_THREAD, (number, name))
        return number

    def _chain(self, chain: Chain) -> ChainState:
        """The chain's state, with numbers."""
        state = self._known.chains[chain]
        if not state.chain:
            thread = self._thread(chain[0])
            state = self._known.chains[chain] = ChainState(thread, self._next(1), None)
            self._add(_ADD_CHAIN, (state.chain, thread, chain[1]))
        return state

    def _log(self, thread: int, log: int) -> int:
        number = self._known.logs.get((thread, log))
        if number is None:
            number = self._known.logs[thread, log] = self._next(2)
            self._add(_ADD_LOG, (thread, log, number))
        return number

    # -- one member --------------------------------------------------------------------------------------------------

    def _member(self, member: Prepared) -> Revision:
        for chain, id, said in member.heads:
            state = self._known.chains[chain]
            found = state.head
            if found != id or (said.revision is not None and said.revision.seq != state.seq):
                raise stale_thread(said, None if found is None else unpack_id(found))
        for want in member.rests:
            if not self._rests(want):
                raise unmet(want)
        if member.versions:
            self._check_versions(member.versions, member.at)
        check_items(member.items)  # a version is the number of its commit << 20, and its place there
        self._check_indexes(member)
        if member.removals:
            self._remove(member)
        self._known.seq += 1
        seq = self._known.seq
        self._add(_ADD_COMMIT, (seq, member.id, member.at))
        for name, *run in member.runs:
            self._add(_ADD_RUN, (self._thread(name), *run))
        for row in member.checkpoints:
            self._checkpoint(row, seq)
        for name, log, start, count, kind, payload in member.segments:
            place = self._log(self._thread(name), log) << 32 | start
            self._add(_ADD_SEGMENT, (place, count, kind, payload))
        for chain, *write in member.writes:
            self._add(_ADD_WRITE, (self._chain(chain).chain, *write))
        for chain, *staged in member.staged:
            self._add(_ADD_STAGED, (self._chain(chain).chain, *staged))
        version = seq << 20
        for put in member.items:
            version = self._put(put, version, member.at)
        for filing in member.filings:
            self._refile(filing, seq)
        for life in member.lives:
            if life.version is not None:
                self._refresh(life)
        for life in member.lives:
            if life.version is None:
                version = self._sweep(life.item, version, member.at)
        return Revision(0, seq)

    def _rests(self, want: CheckpointIs | ThreadIs | SubtreeIs) -> bool:
        if isinstance(want, SubtreeIs):
            self._flush()
            return forgetting.counted(self._ask, range_of(want.prefix)) == want.holds
        name = text_to_bytes(want.thread)
        if name in self._touched:
            self._flush()
        if isinstance(want, ThreadIs):
            self._number_of(name, b"")
            [(newest,)] = self._ask("newest_seq_of_thread", self._known.threads.get(name, 0))
            return newest is None or newest <= want.revision.seq
        chain = self._number_of(name, text_to_bytes(want.ns))
        rows = self._ask("seq_of_checkpoint", chain, pack_id(want.checkpoint))
        return bool(rows) and (want.revision is None or rows[0][0] == want.revision.seq)

    def _check_versions(self, wanted: Sequence[Version], at: int) -> None:
        failed: list[tuple[ItemIs, int | None]] = []
        for item, version, said in wanted:
            state = self._known.items.get(item)
            found = state.version if state and state.stands(at) else None
            if found != version:
                failed.append((said, found))
        if failed:
            raise version_conflict(failed)

    def _checkpoint(self, row: tuple[Any, ...], seq: int) -> None:
        chain, id, parent, parent_ns, step, source, at, run, whole, metadata, state, made = row
        thread, number, head, _ = self._chain(chain)
        seq = made or seq
        if head is None or id >= head:
            self._known.chains[chain] = ChainState(thread, number, id, seq)
        if head is None or id > head:
            if parent is not None and parent == head and parent_ns is None:
                parent = b""
        elif id != head:  # between others: whoever said "the one before me" must say which
            self._flush()
            self._ask("name_parent_of_following", number, id)
        self._add(
            _ADD_CHECKPOINT,
            (number, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state),
        )

    def _put(self, put: Put, version: int, at: int) -> int:
        """Adds one version of an item; the next free version."""
        version = self._sweep(put.item, version, at)
        state = self._known.items.get(put.item)
        alive = state is not None and state.alive
        if put.value is None and not alive:
            return version  # deleting what isn't there changes nothing
        written = at if put.times is None else put.times[1]
        updated = written if state is None else max(written, state.updated)
        created = put.times[0] if put.times else state.created if state and alive else updated
        deleted = put.value is None
        id = self._new_item_id(put.item[0]) if state is None else state.id
        paths = None if deleted else put.paths
        idx = None if deleted or paths == NO_PATHS else self._index(put.text)
        length = 0 if put.text is None or idx is None else put.text.length
        model = (
            None if deleted or paths == NO_PATHS or put.vectors is None else self._number(put.vectors.model)
        )
        kept = state.life if state and alive and put.keeps else None
        life = FOR_EVER if deleted else life_of(put.ttl, put.expires, kept, at)
        if state is None:
            self._add(_ADD_ITEM, (id, put.item[1], version, 1, idx, length, paths, model, life.expires))
        else:
            alive_now = 0 if deleted else 1
            self._set_items[id] = (version, alive_now, idx, length, paths, model, life.expires, id)
        if state and alive:
            self._add(_END_VERSION, (updated, state.version))
        self._add(
            _ADD_VERSION,
            (
                version,
                id,
                state.version if state else None,
                None if created == updated else created,
                updated,
                updated if deleted else None,
                *put.origin,
                put.value,
                *life,
            ),
        )
        self._file(id, state, put.text, idx)
        if model is not None or (state is not None and state.model is not None):
            self._vectors.put(id, state, put.vectors, model, version >> 20)
        self._known.items[put.item] = ItemState(
            id, version, not deleted, created, updated, idx, length, paths, model, life
        )
        return version + 1

    def _sweep(self, item: Key, version: int, at: int) -> int:
        """If the item's time is over it goes, by a version of its own; the next free version."""
        state = self._known.items.get(item)
        if state is None or not state.alive or state.stands(at):
            return version
        updated = max(at, state.updated)
        created = None if state.created == updated else state.created
        self._set_items[state.id] = (version, 0, None, 0, None, None, None, state.id)
        self._add(_END_VERSION, (updated, state.version))
        self._add(
            _ADD_VERSION,
            (version, state.id, state.version, created, updated, updated, *_EXPIRED, None, *FOR_EVER),
        )
        self._file(state.id, state, None, None)
        if state.model is not None:
            self._vectors.put(state.id, state, None, None, version >> 20)
        self._known.items[item] = ItemState(state.id, version, False, state.created, updated)
        return version + 1

    def _refresh(self, life: Live) -> None:
        state = self._known.items.get(life.item)
        if state is None or not state.alive or state.version != life.version or state.life.expires is None:
            return
        expires = max(state.life.expires, life.expires)
        self._add(_MOVE_END, (expires, state.version))
        self._set_items[state.id] = (
            state.version, 1, state.idx, state.length, state.paths, state.model, expires, state.id,
        )  # fmt: skip
        self._known.items[life.item] = state._replace(life=state.life._replace(expires=expires))

    def _refile(self, filing: Refile, seq: int) -> None:
        state = self._known.items.get(filing.item)
        if state is None or not state.alive or state.version != filing.version or state.paths == NO_PATHS:
            return
        idx = self._index(filing.text)
        length = 0 if filing.text is None else filing.text.length
        model = state.model if filing.vectors is None else self._number(filing.vectors.model)
        self._set_items[state.id] = (
            state.version, 1, idx, length, state.paths, model, state.life.expires, state.id,
        )  # fmt: skip
        self._file(state.id, state, filing.text, idx)
        if filing.vectors is not None:
            self._vectors.put(state.id, state, filing.vectors, model, seq)
        self._known.items[filing.item] = state._replace(idx=idx, length=length, model=model)

    def _index(self, text: PreparedText | None) -> int:
        return NOWHERE if text is None else self._number(text.analysis)

    def _number(self, name: bytes) -> int:
        return self._filing.number(name, lambda: self._next(4))

    def _file(self, id: int, before: ItemState | None, text: PreparedText | None, idx: int | None) -> None:
        had = before is not None and before.length > 0
        if had or (text is not None and text.length):
            self._filed.setdefault(id, had)
        self._filing.file(id, before, text, idx)

    def _new_item_id(self, space: bytes) -> int:
        number, most = self._known.namespaces.get(space, (0, 0))
        if not number:
            number = self._next(3)
            self._add(_ADD_NAMESPACE, (number, space))
        if most >= _LOW:
            raise OverflowError("a namespace holds 4,294,967,295 items, which is its limit")
        self._known.namespaces[space] = (number, most + 1)
        return number << 32 | (most + 1)

    # -- rows --------------------------------------------------------------------------------------------------------

    def _add(self, statement: str, row: tuple[Any, ...]) -> None:
        rows = self._rows.get(statement)
        if rows is None:
            self._rows[statement] = [row]
        else:
            rows.append(row)

    def _flush(self) -> None:
        """Writes what was gathered, in the order of effects."""
        self._begin()
        self._gather_set_items()
        rows = self._rows
        for statement in _STATEMENTS:
            gathered = rows.get(statement)
            if not gathered:
                continue
            if len(gathered) == 1:
                self._db.execute(statement, gathered[0])
            else:
                self._db.executemany(statement, gathered)
        self._rows = {}
        self._touched = set()

    def _gather_set_items(self) -> None:
        if self._set_items:
            self._rows[_SET_ITEM] = list(self._set_items.values())
            self._set_items = {}
        gathered = self._filing.rows(self._filed)
        self._filed = {}
        for statement, rows in zip(_FILING, gathered, strict=True):
            if rows:
                self._rows[statement] = rows
        for statement, rows in zip(_EMBEDDING, self._vectors.rows(), strict=True):
            if rows:
                self._rows[statement] = rows

    # -- removals ----------------------------------------------------------------------------------------------------

    def _remove(self, member: Prepared) -> None:
        for removal in member.removals:
            match removal:
                case RemoveWrites(thread, ns, checkpoint):
                    self._remove_step(thread, ns, (pack_id(checkpoint),), _REMOVE_WRITES)
                case RemoveStaged(thread, ns, checkpoint):
                    self._remove_step(thread, ns, (pack_id(checkpoint),), _REMOVE_STAGED)
                case RemoveResult(thread, ns, checkpoint, task):
                    place = (pack_id(checkpoint), pack_task(task))
                    self._remove_step(thread, ns, place, _REMOVE_WRITES_OF, _REMOVE_STAGED_OF)
                case _:
                    self._remove_now(removal, member)

    def _remove_step(self, thread: str, ns: str, place: tuple[bytes, ...], *statements: str) -> None:
        """What a step leaves behind: gathered, as these come with nearly every commit."""
        name = text_to_bytes(thread)
        if name in self._touched:
            self._flush()  # an earlier member of this group wrote to the thread: its rows come first
        number = self._number_of(name, text_to_bytes(ns))
        if number:
            for statement in statements:
                self._add(statement, (number, *place))

    def _number_of(self, thread: bytes, ns: bytes) -> int:
        if (thread, ns) not in self._known.chains:
            for _, _, number, chain, head, seq in self._ask_many("find_chains", [(thread, ns)]):
                self._known.chains[thread, ns] = ChainState(number or 0, chain or 0, head, seq or 0)
                if number:
                    self._known.threads[thread] = number
        return self._known.chains[thread, ns].chain

    def _remove_now(self, removal: object, member: Prepared) -> None:
        """The rare ones: written at once, after all that came before; what was known is asked for again."""
        self._flush()
        self._removed = True
        match removal:
            case RemoveThread(thread):
                self._remove_thread(text_to_bytes(thread))
            case RemoveCheckpoint(thread, ns, id):
                self._remove_checkpoint(text_to_bytes(thread), text_to_bytes(ns), pack_id(id))
            case RemoveRun(thread, id):
                name = text_to_bytes(thread)
                self._number_of(name, b"")
                self._ask("remove_run", self._known.threads.get(name, 0), pack_id(id))
            case RemoveSegments(thread, log, start):
                self._remove_segments(text_to_bytes(thread), log, start)
            case PruneHistory(before, limit):
                self._drop_versions(self._ask("ended_versions", before, max(limit, 0)))
            case PruneVersions(items, keep, limit):
                for namespace, key in items:
                    where = encode_namespace(namespace), text_to_bytes(key)
                    self._drop_versions(self._ask("versions_beyond", *where, keep, max(limit, 0)))
            case ForgetItems(prefix):
                if forgetting.forget(self._ask, self._ask_all, range_of(prefix)):
                    self._ask("raise_floor", self._known.seq + 1)  # that of this commit
            case UnfileItems():
                checking.unfile(self._ask)
            case _:  # the others are gathered; `Prepared` let no unknown one in
                raise AssertionError(removal)
        seq, last = self._known.seq, self._known.last
        self._known.forget()
        self._known.seq, self._known.last = seq, last  # only grew, so still free
        self._learn([member])

    def _remove_thread(self, name: bytes) -> None:
        self._number_of(name, b"")
        number = self._known.threads.get(name)
        if number is None:
            return
        for statement in ("checkpoints", "writes", "staged", "segments", "logs", "runs", "chains"):
            self._ask(f"remove_thread_{statement}", number)
        self._ask("remove_thread", number)

    def _remove_checkpoint(self, thread: bytes, ns: bytes, id: bytes) -> None:
        chain = self._number_of(thread, ns)
        if not chain:
            return
        self._ask("name_parent_of_following", chain, id)
        self._ask("remove_checkpoint", chain, id)
        self._ask("remove_all_writes", chain, id)
        self._ask("remove_staged", chain, id)

    def _remove_segments(self, thread: bytes, log: int, start: int) -> None:
        self._number_of(thread, b"")
        number = self._known.threads.get(thread)
        if number is None:
            return
        for _, _, place in self._ask_many("find_logs", [(number, log)]):
            self._ask("remove_segments", (place << 32) + min(max(start, 0), _LOW + 1), (place + 1) << 32)
            self._ask("remove_empty_log", number, log, place)

    def _drop_versions(self, gone: list[tuple[Any, ...]]) -> None:
        """Versions that are kept no more, as rows of (version, item, whether it is the item's newest: its deletion)."""
        self._db.executemany(Q["remove_version"], [(version,) for version, _, _ in gone])
        deletions = [(item, version) for version, item, newest in gone if newest]
        if deletions:
            self._db.executemany(Q["remove_deleted_item"], deletions)
            spaces = [(space,) for space in {item >> 32 for item, _ in deletions}]
            self._db.executemany(Q["remove_empty_namespace"], spaces)
            self._db.executemany(Q["remove_totals"], spaces)
            self._db.executemany(Q["remove_vector_spaces"], spaces)
            self._ask("raise_floor", max(version for _, version in deletions) >> 20)
