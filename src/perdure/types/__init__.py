"""The values that users and Perdure hand to each other: frozen, small, without behaviour.

`commands` says what to do, `interrupts` asks, `policies` say how, `snapshots` show a thread, `stream_parts` a run.
Imports `errors`, `constants`, `typing`, `warnings`, `current`; anybody may import it.
"""

from perdure.types.cache_key import default_cache_key
from perdure.types.commands import Command, Overwrite, Send, as_name
from perdure.types.interrupts import Interrupt, answer_schema, checked_answer, interrupt
from perdure.types.policies import (
    CachePolicy,
    RetryPolicy,
    TimeoutPolicy,
    TracePolicy,
    default_retry_on,
    omit_payload,
    retries,
)
from perdure.types.snapshots import (
    All,
    Checkpointer,
    Config,
    Durability,
    PregelExecutableTask,
    PregelTask,
    StateSnapshot,
    StateUpdate,
    ensure_valid_checkpointer,
)
from perdure.types.stream_parts import (
    CheckpointPayload,
    CheckpointStreamPart,
    CheckpointTask,
    CustomStreamPart,
    DebugPayload,
    DebugStreamPart,
    GraphOutput,
    MessagesStreamPart,
    StreamMode,
    StreamPart,
    StreamWriter,
    TaskPayload,
    TaskResultPayload,
    TasksStreamPart,
    UpdatesStreamPart,
    ValuesStreamPart,
)

__all__ = [
    "All",
    "CachePolicy",
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "Checkpointer",
    "Command",
    "Config",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "Durability",
    "GraphOutput",
    "Interrupt",
    "MessagesStreamPart",
    "Overwrite",
    "PregelExecutableTask",
    "PregelTask",
    "RetryPolicy",
    "Send",
    "StateSnapshot",
    "StateUpdate",
    "StreamMode",
    "StreamPart",
    "StreamWriter",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "TimeoutPolicy",
    "TracePolicy",
    "UpdatesStreamPart",
    "ValuesStreamPart",
    "answer_schema",
    "as_name",
    "checked_answer",
    "default_cache_key",
    "default_retry_on",
    "ensure_valid_checkpointer",
    "interrupt",
    "omit_payload",
    "retries",
]
