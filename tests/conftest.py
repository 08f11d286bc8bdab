"""For all tests."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    """Ctrl-C works here and in the processes that tests start, even where a shell started us in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An exhaustive test may take its time; the short limit is for finding what hangs."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))
