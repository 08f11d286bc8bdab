"""Being told what a serializer met while it read: types that nobody had allowed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, NotRequired

from typing_extensions import TypedDict

__all__ = ["SerdeEvent", "SerdeEventListener", "emit_serde_event", "register_serde_event_listener"]


class SerdeEvent(TypedDict):
    """A type in the data that the allow-list does not name.

    Attributes:
        kind: whether it was let through, or came back as its plain payload.
        module: where the data says the type lives.
        name: what the data calls it.
        method: the method that the data wanted called, if any; none is ever called.
    """

    kind: Literal["msgpack_unregistered_allowed", "msgpack_blocked", "msgpack_method_blocked"]
    module: str
    name: str
    method: NotRequired[str]


SerdeEventListener = Callable[[SerdeEvent], object]

_log = logging.getLogger("perdure.checkpoint.serde")
_lock = threading.Lock()
_listeners: tuple[SerdeEventListener, ...] = ()


def register_serde_event_listener(listener: SerdeEventListener) -> Callable[[], None]:
    """From now on `listener` is told, in the thread that reads; calling what this returns ends it.

    What a listener raises is logged and changes nothing.
    """
    global _listeners
    entry: SerdeEventListener = lambda event: listener(event)  # noqa: E731 - one entry a registration, also of the same listener
    with _lock:
        _listeners = (*_listeners, entry)

    def unregister() -> None:
        global _listeners
        with _lock:
            _listeners = tuple(known for known in _listeners if known is not entry)

    return unregister


def emit_serde_event(event: SerdeEvent) -> None:
    """Tells all listeners."""
    for listener in _listeners:
        try:
            listener(event)
        except Exception:  # noqa: BLE001 - a listener is the user's; logged with its traceback
            _log.exception("a listener to serializer events failed; the value was read all the same")
