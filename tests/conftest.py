"""For all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Ctrl-C works here and in the processes that tests start, even where a shell started us in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
