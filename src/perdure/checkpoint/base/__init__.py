"""The interface of a saver, and the values that cross it. One of the lowest rooms: everybody may come in.

Here: `BaseCheckpointSaver`, checkpoints and their metadata as plain mappings. Not here: any saver (`checkpoint/memory.py`,
`checkpoint/sqlite`), any serializer (`checkpoint/serde`; the default one is fetched when a saver first needs it).
"""

from perdure.checkpoint.base.metadata import (
    EXCLUDED_METADATA_KEYS,
    get_checkpoint_id,
    get_checkpoint_metadata,
    get_serializable_checkpoint_metadata,
)
from perdure.checkpoint.base.saver import WRITES_IDX_MAP, BaseCheckpointSaver
from perdure.checkpoint.base.values import (
    LATEST_VERSION,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    copy_checkpoint,
    create_checkpoint,
    empty_checkpoint,
)

__all__ = [
    "EXCLUDED_METADATA_KEYS",
    "LATEST_VERSION",
    "WRITES_IDX_MAP",
    "BaseCheckpointSaver",
    "ChannelVersions",
    "Checkpoint",
    "CheckpointMetadata",
    "CheckpointTuple",
    "DeltaChannelHistory",
    "PendingWrite",
    "copy_checkpoint",
    "create_checkpoint",
    "empty_checkpoint",
    "get_checkpoint_id",
    "get_checkpoint_metadata",
    "get_serializable_checkpoint_metadata",
]
