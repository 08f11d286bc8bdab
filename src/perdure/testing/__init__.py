"""What Perdure is tested with, shipped for those who write savers, stores, backends or programs of their own.

stores bulk listings found ranked reranked nearby savers backends    conformance: functions `check_*` that raise AssertionError, free of pytest
faulty                    a backend that fails before or after the n-th commit
crash                     killing a real process at the n-th commit
fake_clock                a clock that stands still until the test moves it
digest                    one number for all that a database remembers
hostile                   names, strings and payloads that broke somebody's store
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.testing.crash import crash_at
    from perdure.testing.digests import digest
    from perdure.testing.fake_clock import FakeClock

__all__ = ["FakeClock", "crash_at", "digest"]


def __getattr__(name: str) -> Any:
    if name == "crash_at":
        from perdure.testing.crash import crash_at

        return crash_at
    if name == "digest":
        from perdure.testing.digests import digest

        return digest
    if name == "FakeClock":
        from perdure.testing.fake_clock import FakeClock

        return FakeClock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
