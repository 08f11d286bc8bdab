"""What a database promises to the rest of Perdure, and the rows that cross this line.

Writes are data: `Backend.commit` takes one frozen `Commit` (expectations and rows) and does all of it or nothing.
Reads are snapshots: `Backend.read()` answers any number of questions about one moment.

Nobody outside a backend holds a write transaction: no user code, no embedding call, no engine code runs inside one.
Payloads are bytes that the backend stores and never interprets. All text is any Python `str`, NUL and lone surrogates
included (thread ids excepted, see `check_thread_id`), and comes back equal.

Here: the door, which hands out all of it. Not here: what is written (`threads.py`, `items.py`, `removals.py`, `expectations.py`,
gathered in `commit.py`), what is asked (`snapshot.py`), the database itself (`backend.py`), what operators ask
(`administered.py`).
"""

from perdure.storage.contract.administered import (
    About,
    Administered,
    Largest,
    ReplicaStatus,
    SpaceSize,
    TableSize,
    ThreadSize,
)
from perdure.storage.contract.backend import Again, Backend, GroupBackend, PromptBackend
from perdure.storage.contract.commit import Commit, Outcome, chunks, commit_now
from perdure.storage.contract.disagreements import Disagreement
from perdure.storage.contract.expectations import (
    CheckpointIs,
    Forgettable,
    HeadIs,
    ItemIs,
    SubtreeIs,
    ThreadIs,
    stale_checkpoint,
    stale_thread,
    unmet,
    version_conflict,
)
from perdure.storage.contract.foretelling import ForetoldAnswers, WordsAsked, foretelling
from perdure.storage.contract.index_answers import (
    IndexAnswers,
    NearestAnswers,
    Posting,
    TextTotals,
    VectorSpace,
)
from perdure.storage.contract.item_answers import ItemAnswers
from perdure.storage.contract.items import (
    AS_FILED,
    EXPIRED,
    ITEMS_A_COMMIT,
    OWED,
    Embedded,
    Filed,
    FileItem,
    ItemRow,
    Origin,
    PutItem,
    RefreshItem,
    SweepItem,
    check_items,
)
from perdure.storage.contract.looking import AskedBackend, Replicated, asked, looked
from perdure.storage.contract.many import (
    ManyAnswers,
    histories_of,
    items_at_places,
    runs_of,
    segments_of,
    staged_of,
    times_of,
)
from perdure.storage.contract.marks import Chained, Namespace, Revision, Standing
from perdure.storage.contract.past_answers import History, PastAnswers, compacted
from perdure.storage.contract.removals import (
    ForgetItems,
    MendIndexes,
    MendVectors,
    PruneHistory,
    PruneVersions,
    Removal,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Scrubbed,
    UnfileItems,
)
from perdure.storage.contract.snapshot import Snapshot
from perdure.storage.contract.thread_answers import ThreadAnswers
from perdure.storage.contract.threads import (
    THREAD_ID_BYTES,
    CheckpointRow,
    RunRow,
    SegmentRow,
    StagedRow,
    WriteRow,
    check_thread_id,
)

__all__ = [
    "AS_FILED",
    "EXPIRED",
    "ITEMS_A_COMMIT",
    "OWED",
    "THREAD_ID_BYTES",
    "About",
    "Administered",
    "Again",
    "AskedBackend",
    "Backend",
    "Chained",
    "CheckpointIs",
    "CheckpointRow",
    "Commit",
    "Disagreement",
    "Embedded",
    "FileItem",
    "Filed",
    "ForetoldAnswers",
    "ForgetItems",
    "Forgettable",
    "GroupBackend",
    "HeadIs",
    "History",
    "IndexAnswers",
    "ItemAnswers",
    "ItemIs",
    "ItemRow",
    "Largest",
    "ManyAnswers",
    "MendIndexes",
    "MendVectors",
    "Namespace",
    "NearestAnswers",
    "Origin",
    "Outcome",
    "PastAnswers",
    "Posting",
    "PromptBackend",
    "PruneHistory",
    "PruneVersions",
    "PutItem",
    "RefreshItem",
    "Removal",
    "RemoveCheckpoint",
    "RemoveResult",
    "RemoveRun",
    "RemoveSegments",
    "RemoveStaged",
    "RemoveThread",
    "RemoveWrites",
    "ReplicaStatus",
    "Replicated",
    "Revision",
    "RunRow",
    "Scrubbed",
    "SegmentRow",
    "Snapshot",
    "SpaceSize",
    "StagedRow",
    "Standing",
    "SubtreeIs",
    "SweepItem",
    "TableSize",
    "TextTotals",
    "ThreadAnswers",
    "ThreadIs",
    "ThreadSize",
    "UnfileItems",
    "VectorSpace",
    "WordsAsked",
    "WriteRow",
    "asked",
    "check_items",
    "check_thread_id",
    "chunks",
    "commit_now",
    "compacted",
    "foretelling",
    "histories_of",
    "items_at_places",
    "looked",
    "runs_of",
    "segments_of",
    "staged_of",
    "stale_checkpoint",
    "stale_thread",
    "times_of",
    "unmet",
    "version_conflict",
]
