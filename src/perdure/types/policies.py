"""How a node is run: how often, how long, from which cache, and what traces see of it.

Frozen values, and the two questions that belong to them: does a policy retry this error, what does a timeout mean.
Not here: the doing of it; that is `engine/execute.py`. Imports nothing of Perdure but `cache_key`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, cast

from typing_extensions import TypeVar

from perdure.types.cache_key import default_cache_key

__all__ = [
    "CachePolicy",
    "RetryPolicy",
    "TimeoutPolicy",
    "TracePolicy",
    "default_retry_on",
    "omit_payload",
    "retries",
]

# ---- retry

_PROBABLY_BUGS = (
    ValueError,
    TypeError,
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    RuntimeError,
    ReferenceError,
    StopIteration,
    StopAsyncIteration,
    OSError,
)


def default_retry_on(error: Exception) -> bool:
    """True for what may pass by itself: lost connections, a server's 5xx, and kinds nobody foresaw.

    Mistakes in the program (`ValueError`, `TypeError` ...) and errors of the operating system are not retried.
    """
    if isinstance(error, ConnectionError):
        return True
    status = _http_status(error)
    if status is not None:
        return 500 <= status < 600
    return not isinstance(error, _PROBABLY_BUGS)


# The HTTP libraries are asked for only if the program has loaded them: an error of theirs cannot exist otherwise.
_HTTP_ERRORS = (("httpx", "HTTPStatusError"), ("requests", "HTTPError"))


def _http_status(error: Exception) -> int | None:
    for module, name in _HTTP_ERRORS:
        kind: object = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            response: object = getattr(error, "response", None)
            if response is None:  # no answer came at all, so nothing is known to be the caller's fault
                return 500
            code: object = getattr(response, "status_code", None)
            return code if isinstance(code, int) else None
    return None


RetryOn: TypeAlias = "type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool]"


class RetryPolicy(NamedTuple):
    """How often a failed node is tried again, and after how long."""

    initial_interval: float = 0.5
    """Seconds before the second attempt."""
    backoff_factor: float = 2.0
    """Each further pause is this many times the one before."""
    max_interval: float = 128.0
    """Seconds; no pause is longer, apart from jitter."""
    max_attempts: int = 3
    """The first attempt counts."""
    jitter: bool = True
    """Adds up to a second at random to each pause."""
    retry_on: RetryOn = default_retry_on
    """An exception class, a sequence of them, or a predicate."""


def retries(policy: RetryPolicy, error: Exception) -> bool:
    """True if the policy is meant for this error, whatever the number of attempts.

    Raises:
        TypeError: `retry_on` is neither a class of exceptions, a sequence of them, nor callable.
    """
    return _is_meant(policy.retry_on, error)


def _is_meant(wanted: object, error: Exception) -> bool:
    if isinstance(wanted, type):
        if issubclass(wanted, BaseException):
            return isinstance(error, wanted)
    elif isinstance(wanted, (list, tuple, set, frozenset)):
        return isinstance(error, tuple(cast("Sequence[type[Exception]]", wanted)))
    elif callable(wanted):
        return bool(wanted(error))
    raise TypeError(
        "retry_on must be an Exception class, a list or tuple of Exception classes, or a callable, "
        f"not {wanted!r}"
    )


# ---- timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """How long one attempt of an async node may take. Checked where it is used, not when it is made.

    Attributes:
        run_timeout: seconds for the whole attempt.
        idle_timeout: seconds without a sign of progress.
        refresh_on: what is progress: `"auto"` any write, stream item, callback or child call; `"heartbeat"` only
            `runtime.heartbeat()`.
    """

    run_timeout: float | timedelta | None = None
    idle_timeout: float | timedelta | None = None
    refresh_on: Literal["auto", "heartbeat"] = "auto"

    @classmethod
    def coerce(cls, value: float | timedelta | TimeoutPolicy | None) -> TimeoutPolicy | None:
        """A valid policy with its limits as seconds; None if there is no limit. A bare time means `run_timeout`.

        Raises:
            ValueError: a limit is not greater than 0, or `refresh_on` is unknown.
        """
        if value is None:
            return None
        policy = value if isinstance(value, TimeoutPolicy) else cls(run_timeout=value)
        run, idle = _seconds("run_timeout", policy.run_timeout), _seconds("idle_timeout", policy.idle_timeout)
        if policy.refresh_on not in ("auto", "heartbeat"):
            raise ValueError("refresh_on must be 'auto' or 'heartbeat'")
        if run is None and idle is None:
            return None
        return cls(run_timeout=run, idle_timeout=idle, refresh_on=policy.refresh_on)


def _seconds(name: str, value: float | timedelta | None) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not seconds > 0:  # NaN is refused as well
        raise ValueError(f"{name} must be greater than 0")
    return seconds


# ---- cache

KeyFuncT = TypeVar("KeyFuncT", bound="Callable[..., str | bytes]", default="Callable[..., str | bytes]")
"""A function from a node's input to its key in the cache."""


# No slots: on Python 3.11 a frozen, slotted dataclass cannot be made as `CachePolicy[Key](...)`.
@dataclass(frozen=True, kw_only=True)
class CachePolicy(Generic[KeyFuncT]):
    """A node's result is kept and used again for an equal input. Needs a cache on the graph.

    Attributes:
        key_func: from the node's input to its key; equal keys mean equal results.
        ttl: seconds a result is kept; None for ever.
    """

    key_func: KeyFuncT = cast("KeyFuncT", default_cache_key)  # noqa: RUF009 - a function, not a call's result
    ttl: int | None = None


# ---- traces


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePolicy:
    """What traces see of a node's input and output; what the node gets and gives is not touched.

    Attributes:
        process_inputs: from the input to what is shown of it.
        process_outputs: from the output to what is shown of it.
    """

    process_inputs: Callable[[Any], Any] | None = None
    process_outputs: Callable[[Any], Any] | None = None


def omit_payload(_value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a node takes or gives
    """Nothing: for a `TracePolicy` that hides a payload."""
    return {}
