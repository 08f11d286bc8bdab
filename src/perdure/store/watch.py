"""What watching a store gives, for typed programs. Here: the names. What they are is `storage/watching.py`'s."""

from perdure.storage.watching import Changes, Event, EventKind, Watch

__all__ = ["Changes", "Event", "EventKind", "Watch"]
