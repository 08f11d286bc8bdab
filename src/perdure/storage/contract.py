"""What a database promises to the rest of Perdure, and the rows that cross this line.

Writes are data: `Backend.commit` takes one frozen `Commit` (expectations and rows) and does all of it or nothing.
Reads are snapshots: `Backend.read()` answers any number of questions about one moment.

Nobody outside a backend holds a write transaction: no user code, no embedding call, no engine code runs inside one.
Payloads are bytes that the backend stores and never interprets. All text is any Python `str`, NUL and lone surrogates
included (thread ids excepted, see `check_thread_id`), and comes back equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from perdure import clock
from perdure.errors import Compacted, Conflict, StaleThread, StorageError, VersionConflict

Namespace: TypeAlias = tuple[str, ...]
Chained: TypeAlias = tuple[str, str, str]
"""A checkpoint in its chain: (thread, ns, id)."""

THREAD_ID_BYTES: Final = 1024
ITEMS_A_COMMIT: Final = 1 << 20
"""A commit writes at most so many versions of items."""


class Revision(NamedTuple):
    """An opaque, ordered mark of one commit. Greater means later, within one database."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Revision:
        """The revision that `str()` printed. Raises ValueError for anything else."""
        epoch, _, seq = text.partition(".")
        return cls(int(epoch), int(seq))


class RunRow(NamedTuple):
    """What is equal for a whole run, stored once. Its checkpoints name it by (thread, id)."""

    thread: str
    id: str
    at: int  # microseconds since 1970, UTC
    metadata: bytes


class CheckpointRow(NamedTuple):
    """One checkpoint: a small row; the values hang on logs of segments that `state` refers to."""

    thread: str
    ns: str  # public form of the chain's namespace, "" at the root
    id: str
    parent_ns: str | None  # None exactly when `parent` is; may differ from `ns`
    parent: str | None  # may be missing from the table (pruned)
    step: int
    source: str  # input | loop | update | fork, or what a caller of `saver.put` says
    at: int  # microseconds since 1970, UTC
    run: str | None  # RunRow.id
    whole: bool  # True: `state` stands alone; False: it is a change to the parent's, in the same namespace
    state: bytes
    metadata: bytes | None  # what this checkpoint has beyond its run's metadata
    revision: Revision | None = None  # filled in by reads; of the commit that made it


class SegmentRow(NamedTuple):
    """A piece of a log. Segments of a log are ordered by `start`; (thread, log, start) is unique."""

    thread: str
    log: int  # 63 bits, unique within the thread
    start: int
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column; positions it covers: the number of appended items, or 1
    kind: int  # what `payload` is; see `deltas.py`
    payload: bytes


class WriteRow(NamedTuple):
    """A pending write: what a task of an unfinished step wrote, or its error, interrupt, answers.

    Unique by (thread, ns, checkpoint, task, index). The same again: the first stands where `index >= 0`, the last
    where it is negative.
    """

    thread: str
    ns: str
    checkpoint: str
    task: str
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column
    path: str
    channel: str
    payload: bytes


class StagedRow(NamedTuple):
    """A memory operation of a finished task in an unfinished step: durable, visible to nobody.

    Unique by (thread, ns, checkpoint, task, index); the first stands.
    """

    thread: str
    ns: str
    checkpoint: str
    task: str
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column
    namespace: Namespace
    key: str
    payload: bytes


class Origin(NamedTuple):
    """Who wrote a version of an item. Every part may be unknown."""

    thread: str | None = None
    checkpoint: str | None = None  # the checkpoint that the writing step started from
    node: str | None = None
    actor: str | None = None


class Filed(NamedTuple):
    """What a search by words finds of an item: made before the commit, by whoever knows the value."""

    analysis: str  # names what made the terms: those of another name never meet them
    counts: Mapping[str, int]  # term -> how often; no term holds a NUL; empty: nothing to find
    length: int  # terms in all


class Embedded(NamedTuple):
    """What a search by meaning finds of an item: its vectors, made before the commit."""

    model: str  # names what made them: vectors of two names are never compared
    data: bytes  # their components one after the other, float32, least byte first; empty: nothing to find


class PutItem(NamedTuple):
    """The item has this value from this commit on; `value=None`: it is gone. Each one is a version of its own."""

    namespace: Namespace
    key: str
    value: bytes | None
    origin: Origin = Origin()
    filed: Filed | None = None  # None: no search by words finds it until it is filed
    paths: tuple[str, ...] | None = None  # what of it is to be found; (): nothing; None: what the store says
    embedded: Embedded | None = None  # None: no search by meaning finds it until it is embedded
    ttl: int | None = (
        None  # microseconds that it lives from the commit on, and from each reading; None: for ever
    )
    expires: int | None = None  # microseconds since 1970, instead of so long after the commit
    keeps: bool = False  # if there is such an item now: its `ttl` and `expires` stay, whatever is said here
    times: tuple[int, int] | None = (
        None  # created, updated (microseconds), of an item that comes from elsewhere; else now
    )


class FileItem(NamedTuple):
    """The live item is filed anew, if it still has this version: no version is made, the value stays."""

    namespace: Namespace
    key: str
    version: int
    filed: Filed | None
    embedded: Embedded | None = None  # None: its vectors stay


class RefreshItem(NamedTuple):
    """The live item lives until then, if it still has this version: no version is made. Never shortens, nor gives an end.

    Also where its time was over and nobody has swept it: whoever commits this has promised it earlier.
    """

    namespace: Namespace
    key: str
    version: int
    expires: int


class SweepItem(NamedTuple):
    """If the item's time is over it goes: a deletion by the actor `EXPIRED`, which is a version. Else nothing."""

    namespace: Namespace
    key: str


EXPIRED: Final = Origin(actor="ttl")
"""Who deletes what has expired."""


class ItemRow(NamedTuple):
    """A version of an item, as reads give it."""

    namespace: Namespace
    key: str
    value: bytes | None  # None: a deletion, seen in `changes` only
    created_at: int  # microseconds; kept over replacements, begun anew after a deletion
    updated_at: int  # never before the item's earlier versions, wherever the clock stands
    version: int  # from the database's one sequence; grows with every write; never reused
    revision: Revision
    origin: Origin
    paths: tuple[str, ...] | None = None  # as it was put; of live items only
    expires: int | None = (
        None  # microseconds: gone from then on; of an earlier version, where refreshing had moved it
    )
    ttl: int | None = None  # microseconds that it lives anew when it is read


class TextTotals(NamedTuple):
    """The statistics of a subtree under one index: what weighs words."""

    items: int  # live items that have terms
    length: int  # their terms
    strays: int  # live items to be found that are not filed under this index: see `Snapshot.strays`


Posting: TypeAlias = tuple[int, int, int]
"""A term in an item: what the item is called (see `Snapshot.rows`), how often the term stands there, the item's length."""


Standing: TypeAlias = tuple[int, int]
"""Where an item stands in its namespace: when it was made (microseconds), and its number (see `Snapshot.numbers`)."""


class VectorSpace(NamedTuple):
    """One namespace's vectors of one model."""

    space: int  # what the namespace is called in this database
    items: int  # that have any
    changed: int  # seq of the last commit that changed any


class History(NamedTuple):
    """Kept versions of an item, newest first, deletions included."""

    versions: list[ItemRow]
    whole: (
        bool  # the last of them is the item's first; False: older ones were pruned, or are beyond the limit
    )


class HeadIs(NamedTuple):
    """Expectation: the greatest checkpoint id of this chain is `checkpoint`; None: the chain has none.

    With `revision` it is also that very row: not one that was put in its place, or restored under its id, since.
    """

    thread: str
    ns: str
    checkpoint: str | None
    revision: Revision | None = None


class CheckpointIs(NamedTuple):
    """Expectation: this checkpoint stands, of this revision. For commits that rest on one that is not the head."""

    thread: str
    ns: str
    checkpoint: str
    revision: Revision | None = None  # None: any


class ThreadIs(NamedTuple):
    """Expectation: no checkpoint of the thread is of a later revision. For commits that remove what nobody rests on."""

    thread: str
    revision: Revision


class ItemIs(NamedTuple):
    """Expectation: the item's version before this commit; None: there is no item."""

    namespace: Namespace
    key: str
    version: int | None


class Forgettable(NamedTuple):
    """What a database has of a subtree of memory."""

    items: int = 0  # living
    history: int = 0  # versions, living ones included
    postings: int = 0
    vectors: int = 0  # items that have any
    staged: int = 0
    threads: tuple[str, ...] = ()  # that wrote one of these versions, or staged memory; in order


class SubtreeIs(NamedTuple):
    """Expectation: this is what there is of the subtree. For commits that forget it and say what they forgot."""

    prefix: Namespace
    holds: Forgettable


class RemoveThread(NamedTuple):
    """Everything of the thread goes: chains, runs, segments, writes, staged memory. Not items it wrote."""

    thread: str


class RemoveCheckpoint(NamedTuple):
    """The checkpoint goes, with its pending writes and staged memory; its segments stay (`RemoveSegments`)."""

    thread: str
    ns: str
    id: str


class RemoveRun(NamedTuple):
    """What is kept of a run for its checkpoints goes."""

    thread: str
    id: str


class RemoveSegments(NamedTuple):
    """Segments of `log` with `start >= start` go."""

    thread: str
    log: int
    start: int = 0


class RemoveStaged(NamedTuple):
    """The staged memory of a checkpoint's tasks goes; the commit that says so carries it as `items`, or drops it."""

    thread: str
    ns: str
    checkpoint: str


class RemoveWrites(NamedTuple):
    """The ordinary pending writes (`index >= 0`) of a checkpoint go: its step is done and holds their values."""

    thread: str
    ns: str
    checkpoint: str


class RemoveResult(NamedTuple):
    """What one task wrote (`index >= 0`) and staged goes: it counts as unfinished. Its answers and questions stay."""

    thread: str
    ns: str
    checkpoint: str
    task: str


class PruneHistory(NamedTuple):
    """Versions replaced or deleted before `before` (microseconds) go, at most `limit`, first ended first; live ones stay."""

    before: int
    limit: int = 1000


class PruneVersions(NamedTuple):
    """Of each of these items all but the newest `keep` versions go, at most `limit`, oldest first; live ones stay.

    A deletion is a version, except that nothing is kept of an item that is gone where `keep` is 1.
    """

    items: tuple[tuple[Namespace, str], ...]
    keep: int  # at least 1
    limit: int = 1000  # of each item


class ForgetItems(NamedTuple):
    """Items of the subtree go with all their versions, how they are filed, and staged memory of the subtree.

    Of commits older than this one they are gone without a trace: `Snapshot.floor` rises to it, if there was any. No
    version is used again.
    """

    prefix: Namespace


class UnfileItems(NamedTuple):
    """What words find goes, whatever it holds: all items that are to be found count as filed nowhere. Items stay."""


Removal: TypeAlias = (
    RemoveThread
    | RemoveCheckpoint
    | RemoveRun
    | RemoveSegments
    | RemoveStaged
    | RemoveWrites
    | RemoveResult
    | PruneHistory
    | PruneVersions
    | ForgetItems
    | UnfileItems
)


class Commit(NamedTuple):
    """One all-or-nothing unit.

    Order of effects: `removals`, then rows, then `items` in their order, then `filings`, then `lives`. Where an item's time
    is over at `at` there is no such item, for `versions` and for `items`: a put there sweeps it first. A checkpoint row whose (thread, ns, id) exists
    replaces it, and one that comes with a `revision` keeps it: it says the same as before; a segment that exists is a StorageError (two writers of one log: a bug, nothing is written).
    """

    id: bytes  # 16 bytes, made by the caller, ordered by time; how an unknown outcome is asked for
    at: int  # microseconds since 1970, UTC
    heads: Sequence[HeadIs] = ()
    versions: Sequence[ItemIs] = ()
    removals: Sequence[Removal] = ()
    runs: Sequence[RunRow] = ()
    checkpoints: Sequence[CheckpointRow] = ()
    segments: Sequence[SegmentRow] = ()
    writes: Sequence[WriteRow] = ()
    staged: Sequence[StagedRow] = ()
    items: Sequence[PutItem] = ()
    rests: Sequence[CheckpointIs | ThreadIs | SubtreeIs] = ()  # expectations, too
    filings: Sequence[FileItem] = ()
    lives: Sequence[RefreshItem | SweepItem] = ()


def commit_now(**changes: Any) -> Commit:
    """A commit of these changes and expectations, at the present time, under an id of its own."""
    now = clock.micros()
    return Commit(clock.commit_id(now), now, **changes)


Outcome: TypeAlias = "Revision | BaseException"


class Snapshot(Protocol):
    """Answers about one moment. Lists are complete and detached: using them later needs no open snapshot.

    A live item whose `expires` is not after `now()` is left out of every answer, swept or not; except of `text_totals`,
    `postings`, `frequency`, `postings_in` and `terms`, which may count it until it is swept, and of `lapsed`, `history` and
    `touched`, which tell what was written.
    """

    def now(self) -> int:
        """The time by which it judges what has expired: the reader's clock when the snapshot was taken."""
        ...

    def revision(self) -> Revision:
        """The newest commit that this snapshot sees; `Revision(epoch, 0)` before the first."""
        ...

    def committed(self, commit_id: bytes) -> Revision | None:
        """The revision of the commit with this id, None when it was never applied."""
        ...

    def head(self, thread: str, ns: str) -> str | None:
        """The greatest checkpoint id of the chain. One seek."""
        ...

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        """The head and its revision. One seek."""
        ...

    def heads(self, thread: str) -> list[tuple[str, str]]:
        """(ns, head) of every chain of the thread, by ns."""
        ...

    def threads(self, after: str | None, limit: int) -> list[str]:
        """Thread ids in byte order of their UTF-8, from behind `after`."""
        ...

    def checkpoint(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row, or None."""
        ...

    def following(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row with the next greater id in the chain, or None. One seek."""
        ...

    def lineage(self, thread: str, ns: str, id: str) -> list[CheckpointRow]:
        """The checkpoint and its ancestors within the namespace, newest first, up to and with the first `whole` one.

        Empty when `id` is unknown. Raises StorageError when an ancestor that is needed is missing.
        """
        ...

    def checkpoints(
        self, thread: str | None, ns: str | None, before: str | None, limit: int | None
    ) -> list[CheckpointRow]:
        """Rows by id, greatest first (ties by thread, ns); `before` is exclusive; None: any thread, any namespace."""
        ...

    def run(self, thread: str, id: str) -> RunRow | None:
        """The run's row, or None."""
        ...

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        """The segments with `start < below`, in order. One range."""
        ...

    def logs(self, thread: str) -> list[tuple[int, int]]:
        """(log, end) of every log of the thread: what pruning and copying need."""
        ...

    def writes(self, thread: str, ns: str, checkpoint: str) -> list[WriteRow]:
        """The checkpoint's pending writes, ordered by (path, task, index)."""
        ...

    def writes_of(self, places: Sequence[Chained]) -> dict[Chained, list[WriteRow]]:
        """The pending writes of each of these checkpoints that has any, as `writes` gives them; one question for all."""
        ...

    def staged(self, thread: str, ns: str, checkpoint: str) -> list[StagedRow]:
        """The checkpoint's staged memory, ordered by (task, index)."""
        ...

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The live item, or None. One seek."""
        ...

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        """Live items of the subtree, greatest version first, `before` (a version) exclusive."""
        ...

    def size(self, prefix: Namespace) -> int:
        """How many items `items` would give without a limit. One range of an index for each namespace."""
        ...

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        """Namespaces of the subtree that hold a live item, in tuple order."""
        ...

    def changes(self, after: Revision | None, limit: int) -> list[ItemRow]:
        """Versions written after `after`, deletions included, by version; whole commits (so a bit over `limit`)."""
        ...

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        """The first revision from `after` on, behind which no change of the subtree is missing from `changes`.

        `after` itself, unless versions that came later were pruned. Where items were deleted and their deletion was
        pruned, nobody knows which these were: then it is at least the `floor`, whatever the prefix. Costs a walk over
        all versions written since.
        """
        ...

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree. One range of namespaces."""
        ...

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """The live items of the subtree that have the term, in any order."""
        ...

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many `postings` would give, counted up to `most`."""
        ...

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """As `postings`, of these items only. One seek each."""
        ...

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree's live items that begin so, in order. Some seeks for each such term of the database."""
        ...

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        """The live items of the subtree that are to be found by words and are not filed under this index, by version."""
        ...

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        """The live items among these, by what postings call them; a ref says nothing outside of its snapshot."""
        ...

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        """The version of each live item."""
        ...

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items."""
        ...

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        """When each live item was written last (microseconds)."""
        ...

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """The number of each item that lives, or whose deletion is kept. One seek each.

        Of two in one namespace the one that was first written later has the greater. Says nothing outside of its snapshot.
        """
        ...

    def around(
        self, anchors: Sequence[tuple[Namespace, Standing]], count: int
    ) -> list[list[tuple[Standing, ItemRow]]]:
        """For each anchor the live items of its namespace that stand nearest: at most `count` on either side, in order.

        What stands at the anchor itself is left out. One question for all; ranges of at most `count` rows for each.
        """
        ...

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        """How many terms each live item is filed with under this index; those that have none are left out."""
        ...

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """Namespaces of the subtree with vectors of this model, by namespace. One range of namespaces."""
        ...

    @property
    def source(self) -> object:
        """Stands for the backend: one object, the same for all its snapshots, that can be weakly referenced."""
        ...

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(item, its vectors) of the namespace, by item, from item `start` on, at most `limit`.

        Only those written by a commit later than seq `after`; 0: all.
        """
        ...

    def embedded(self, space: int, model: str) -> list[int]:
        """The items of the namespace that have vectors, in order: as `vectors`, without them."""
        ...

    def revision_at(self, at: int) -> Revision:
        """The greatest revision whose commit was made at or before `at` (microseconds); `Revision(epoch, 0)`: none was.

        By the clock of whoever committed. Where a clock stepped back, commits below it may have later times.
        """
        ...

    def time_of(self, revision: Revision) -> int:
        """When that commit was made (microseconds), by the clock of whoever committed; 0: there is no such commit."""
        ...

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        """Items of the subtree that nobody has swept, whose time was over at `until`; first ended first. One range."""
        ...

    def floor(self) -> Revision:
        """Of an older revision than this, deleted items may be gone without a trace. `Revision(epoch, 0)`: of none."""
        ...

    def disagreements(self) -> list[tuple[str, int]]:
        """Where what words find does not agree with the items, in words, with how many it concerns. Reads all of it."""
        ...

    def forgettable(self, prefix: Namespace) -> Forgettable:
        """What `ForgetItems` would take. A walk over all versions of the subtree."""
        ...

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        """The item's newest kept versions, whether it lives or not. A walk down its versions."""
        ...

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was when `revision` was the newest commit, or None. A walk down its versions.

        What had expired by `at` (microseconds; None: the time of that commit) is gone. A version's `expires` is where
        refreshing had moved it in the end: an item is refreshed only while it lives, so until then it did.

        Raises:
            Compacted: what it was is not kept; `oldest` is the first revision since which its versions are.
        """
        ...

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """As `items`, as it was when `revision` was the newest commit: complete and exact, or an error; `at` as in `item_at`.

        Costs a walk over what changed in the subtree since, once a snapshot.

        Raises:
            Compacted: of any item of the subtree it is not kept what it was; `oldest` can still be read.
        """
        ...

    def around_at(
        self,
        anchors: Sequence[tuple[Namespace, Standing]],
        count: int,
        revision: Revision,
        at: int | None = None,
    ) -> list[list[tuple[Standing, ItemRow]]]:
        """As `around`, as it was when `revision` was the newest commit. Raises as `items_at`.

        Costs a walk over what changed in the namespaces since, once a snapshot.
        """
        ...

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """As `namespaces`, as it was when `revision` was the newest commit. Raises and costs as `items_at`."""
        ...

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        """Items of the subtree, deleted ones too, with a kept version later than `after`, in order of their newest.

        With `thread`: with such a version that this thread wrote.
        """
        ...

    def count(self, table: str) -> int:
        """Rows of `checkpoints | segments | writes | staged | items | history | runs | postings | vectors`: for tests and `db stats`."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A database. Safe from any thread. Errors of the driver never cross this line (`StorageError` and below)."""

    @property
    def identity(self) -> str:
        """Equal for two backends on one database, however it was spelt."""
        ...

    def commit(self, commit: Commit, /) -> Revision:
        """All of `commit`, durably, or an error and nothing of it.

        Raises:
            StaleThread: a `HeadIs` does not hold.
            VersionConflict: an `ItemIs` does not hold; `keys` lists them.
            Unavailable: no answer in time; the message says whether it was written.
            StorageError: the database refused.
        """
        ...

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One outcome a commit, in order, as if each had been committed alone, at the price of about one."""
        ...

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues the commit and returns; `done(outcome)` is called once, from any thread (or before this returns)."""
        ...

    @property
    def inline(self) -> bool:
        """Whether every call answers at once: nothing is waited for, so an event loop may call it directly."""
        ...

    def joins(self, other: Backend, /) -> bool:
        """Whether `commit_with` can commit to `other` as well."""
        ...

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """`commit` here and `others` there, both or neither. Raises StorageError where `joins` is false."""
        ...

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent snapshot: it sees all of a commit or nothing, and nothing that comes later."""
        ...

    def change_token(self) -> object:
        """Differs after any commit by anybody that this backend could see; cheap. Caches compare it."""
        ...

    def vacuum(self) -> None:
        """Gives free space back to the system, where there is any."""
        ...

    def scrub(self, wait_seconds: float, /) -> None:
        """Nothing of what was deleted is left in any file of the database.

        Raises:
            Busy: for so long somebody read an older state. Nothing else is undone by that; call it again.
        """
        ...

    def close(self) -> None:
        """Waits for queued commits, then lets go. Again: nothing. Later calls raise StorageError."""
        ...

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        ...


@runtime_checkable
class GroupBackend(Backend, Protocol):
    """A backend whose commits an event loop can gather and make on its own thread, while they are short."""

    def enqueue(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """As `commit_soon`, but nobody is called to work: the caller calls `lead_now` soon, once for all it queued."""
        ...

    def lead_now(self) -> bool:
        """Commits all that is queued, on the calling thread; the `done` of each is called before this returns.

        False: somebody else does it (another thread commits already, or recent commits took long, or another process
        holds the lock); then the `done` are called from there. Never waits for a lock.
        """
        ...


def stale_thread(expected: HeadIs, found: str | None) -> StaleThread:
    """The error for a head that moved: every backend says the same."""
    where = f"thread {expected.thread!r}" + (f", namespace {expected.ns!r}" if expected.ns else "")
    moved = (
        f"its head {found} was put anew, or the thread was restored"
        if found == expected.checkpoint
        else f"this run expected its head to be {expected.checkpoint}, now it is {found}. Somebody else runs on the"
        " thread, or a worker was replaced"
    )
    return StaleThread(
        f"{where} moved on: {moved}. Nothing was written. Load the state and run again.",
        thread=expected.thread,
        namespace=expected.ns,
        expected=expected.checkpoint,
        found=found,
    )


def unmet(expected: CheckpointIs | ThreadIs | SubtreeIs) -> Conflict:
    """The error for what a commit rests on and does not stand so: every backend says the same."""
    if isinstance(expected, SubtreeIs):
        return Conflict(
            f"memory below {expected.prefix!r} changed while it was being looked at. Nothing was written. Repeat."
        )
    return stale_checkpoint(expected)


def stale_checkpoint(expected: CheckpointIs | ThreadIs) -> StaleThread:
    """The error for a checkpoint that was removed or replaced, or a thread that got others."""
    if isinstance(expected, ThreadIs):
        return StaleThread(
            f"thread {expected.thread!r} moved on: a checkpoint was added meanwhile. Nothing was written. Repeat.",
            thread=expected.thread,
        )
    return StaleThread(
        f"thread {expected.thread!r}: checkpoint {expected.checkpoint}, which this rests on, was removed or replaced"
        " meanwhile. Nothing was written. Load the state and run again.",
        thread=expected.thread,
        namespace=expected.ns,
        expected=expected.checkpoint,
    )


def version_conflict(failed: Sequence[tuple[ItemIs, int | None]]) -> VersionConflict:
    """The error for items that have another version than expected: (expectation, version found), at least one."""
    first, found = failed[0]
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return VersionConflict(
        f"item {first.key!r} in {first.namespace!r}{more} moved on: expected version {first.version}, found {found}."
        " Nothing was written. Read it again and repeat.",
        namespace=first.namespace,
        key=first.key,
        expected=first.version,
        found=found,
        keys=[(want.namespace, want.key) for want, _ in failed],
    )


def check_items(puts: Sequence[Any]) -> None:
    """Passes what one commit takes.

    Raises:
        StorageError: more than `ITEMS_A_COMMIT`. Nothing was written.
    """
    if len(puts) > ITEMS_A_COMMIT:
        raise StorageError(
            f"a commit of {len(puts):,} items; at most {ITEMS_A_COMMIT:,} are written at once. Nothing was written.",
            operation="commit",
            hint="Write them in parts, each a commit of its own.",
        )


def compacted(asked: Revision, oldest: Revision) -> Compacted:
    """The error for a view of the past that would be short: every backend says the same."""
    return Compacted(
        f"memory as of revision {asked} is no longer kept: versions that ended long ago were pruned. The oldest revision"
        f" that can still be read here is {oldest}. Keep more with keep_history=.",
        asked=str(asked),
        oldest=str(oldest),
    )


def check_thread_id(thread: str) -> str:
    """The same id, if a database can hold it. Raises ValueError: empty, NUL, lone surrogates, over 1,024 bytes."""
    if not thread:
        raise ValueError(
            "thread_id is an empty string. Give every conversation an id of at least one character."
        )
    try:
        size = len(thread.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(
            f"thread_id {thread[:40]!r} holds a lone surrogate, which no database can index."
        ) from None
    if "\0" in thread:
        raise ValueError(f"thread_id {thread[:40]!r} holds a NUL character, which no database can index.")
    if size > THREAD_ID_BYTES:
        raise ValueError(f"thread_id {thread[:40]!r}... has {size} bytes; the limit is {THREAD_ID_BYTES}.")
    return thread


def chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The rows in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
