"""Which run made a checkpoint: what a store needs of the threads beside it, to take back what a run wrote.

Here: the run's id as its caller gave it, from a checkpoint's metadata. Not here: what is taken back (`storage/reverting.py`).
"""

from __future__ import annotations

from perdure.codec import Cipher
from perdure.storage.contract import CheckpointRow, Snapshot
from perdure.storage.reverting import RunOf

__all__ = ["runs_in"]


def runs_in(snapshot: Snapshot, cipher: Cipher | None) -> RunOf:
    """A function from a checkpoint of the snapshot to the `run_id` of its metadata, or None."""
    from perdure.checkpoint.reading import Reader
    from perdure.codec import DEFAULT, Codec

    reader = Reader(snapshot, Codec(DEFAULT, cipher=cipher))

    def run_of(row: CheckpointRow) -> object:
        return reader.metadata(row).get("run_id")

    return run_of
