"""What operators ask of a backend: the checks of the suite, over every backend of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from databases import ALL_KINDS
from perdure.database import open_url
from perdure.storage.sqlite.administering import reset_bug
from perdure.testing.backends.administered import ADMINISTERED_CHECKS
from perdure.testing.backends.kit import Make


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("check", ADMINISTERED_CHECKS, ids=lambda check: check.__name__)
def test_a_backend_tells_its_operator(
    check: Callable[[Make], None], kind: str, url_of: Callable[[str], str]
) -> None:
    check(lambda: open_url(url_of(kind)))


def test_the_version_with_the_bug_of_the_log_is_named_with_what_is_done_about_it() -> None:
    assert reset_bug("/data/a.db", (3, 51, 2)).startswith("in SQLite 3.51.2; kept off")
    assert "a.db-perdure.lock" in reset_bug("/data/a.db", (3, 40, 1))
    assert reset_bug("/data/a.db", (3, 51, 3)) == "not in SQLite 3.51.3"
    assert reset_bug(None, (3, 40, 1)).endswith("of no concern in memory")
