"""What every store has to do, as functions that raise AssertionError.

Give each check a fresh, empty store. With pytest:

    @pytest.mark.parametrize("check", stores.CHECKS, ids=lambda check: check.__name__)
    def test_my_store_conforms(check):
        check(MyStore())

`CHECKS` and `ASYNC_CHECKS` are the interface; a store of anybody's passes them. `VERSION_CHECKS` and
`ASYNC_VERSION_CHECKS` are what Perdure's stores do besides: versions, compare and set, `update`; `store_past.py` has what they
tell of their past.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from perdure.storage.item_store import ItemStore
from perdure.store.base import BaseStore
from perdure.testing.stores.crowds import (
    a_cancelled_call_harms_nobody_else,
    many_coroutines_lose_nothing,
    many_threads_lose_nothing,
    the_async_face_answers_alike,
)
from perdure.testing.stores.items import (
    a_batch_answers_in_order_from_the_state_before_it,
    a_put_item_is_read_back,
    a_put_replaces_the_whole_value,
    an_item_put_after_its_deletion_is_new,
    any_json_comes_back_equal,
    keys_are_made_strings,
    of_several_puts_in_a_batch_the_last_wins,
    values_are_copies,
    what_is_no_json_is_refused_with_its_path,
    what_is_not_there_is_none,
)
from perdure.testing.stores.namespaces import (
    a_prefix_is_whole_labels,
    bad_namespaces_are_refused,
    namespaces_are_listed_in_order,
    odd_labels_are_literal,
    the_reserved_root_is_refused_on_put_only,
)
from perdure.testing.stores.searching import (
    a_search_gives_ten_unless_told,
    an_empty_query_is_none,
    bad_filters_are_errors,
    bad_numbers_are_errors,
    filters_mean_the_same_everywhere,
    search_lists_the_latest_first,
)
from perdure.testing.stores.versions import (
    a_delete_with_an_old_version_is_refused,
    a_failing_update_changes_nothing,
    a_put_if_absent_never_replaces,
    a_put_with_an_old_version_is_refused,
    conditions_that_cannot_be_right_are_errors,
    no_update_is_lost,
    the_async_face_has_versions_too,
    update_makes_changes_and_deletes,
    versions_grow_and_are_never_used_again,
)

__all__ = ["ASYNC_CHECKS", "ASYNC_VERSION_CHECKS", "CHECKS", "VERSION_CHECKS"]

CHECKS: Final[tuple[Callable[[BaseStore], None], ...]] = (
    a_put_item_is_read_back,
    what_is_not_there_is_none,
    a_put_replaces_the_whole_value,
    an_item_put_after_its_deletion_is_new,
    values_are_copies,
    keys_are_made_strings,
    a_batch_answers_in_order_from_the_state_before_it,
    of_several_puts_in_a_batch_the_last_wins,
    search_lists_the_latest_first,
    a_search_gives_ten_unless_told,
    a_prefix_is_whole_labels,
    odd_labels_are_literal,
    bad_namespaces_are_refused,
    the_reserved_root_is_refused_on_put_only,
    namespaces_are_listed_in_order,
    filters_mean_the_same_everywhere,
    bad_filters_are_errors,
    bad_numbers_are_errors,
    an_empty_query_is_none,
    any_json_comes_back_equal,
    what_is_no_json_is_refused_with_its_path,
    many_threads_lose_nothing,
)
"""The interface, for anybody's store."""
ASYNC_CHECKS: Final[tuple[Callable[[BaseStore], Awaitable[None]], ...]] = (
    the_async_face_answers_alike,
    many_coroutines_lose_nothing,
    a_cancelled_call_harms_nobody_else,
)
"""The interface in its other colour."""
VERSION_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    versions_grow_and_are_never_used_again,
    a_put_with_an_old_version_is_refused,
    a_put_if_absent_never_replaces,
    a_delete_with_an_old_version_is_refused,
    conditions_that_cannot_be_right_are_errors,
    update_makes_changes_and_deletes,
    no_update_is_lost,
    a_failing_update_changes_nothing,
)
"""What Perdure's stores do besides."""
ASYNC_VERSION_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    the_async_face_has_versions_too,
)
"""The same in its other colour."""
