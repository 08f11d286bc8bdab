"""What every saver has to do, as functions that raise AssertionError.

Give each check a fresh, empty saver. With pytest:

    @pytest.mark.parametrize("check", savers.CHECKS, ids=lambda check: check.__name__)
    def test_my_saver_conforms(check):
        check(MySaver())

`CHECKS` and `ASYNC_CHECKS` are the interface. `UPKEEP_CHECKS` are `delete_for_runs`, `copy_thread`, `prune`: a saver that
lacks them still runs graphs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from perdure.testing.savers.asynchronous import (
    async_methods_do_what_blocking_ones_do,
    many_tasks_may_write_at_once,
    upkeep_can_be_awaited,
)
from perdure.testing.savers.checkpoints import (
    a_put_checkpoint_is_read_back_whole,
    a_value_that_cannot_be_saved_is_refused,
    branches_do_not_disturb_each_other,
    channels_that_did_not_change_keep_their_value,
    metadata_come_back_with_scalars_of_the_config,
    the_config_of_a_put_is_the_parent_of_the_next,
    the_first_of_two_equal_writes_stands_and_the_last_of_special_ones,
    versions_may_be_numbers_or_text,
    what_is_not_there_is_none,
    what_was_read_is_a_copy,
    without_an_id_the_newest_of_the_namespace_is_found,
    writes_come_back_with_their_task,
)
from perdure.testing.savers.kit import Saver, chain, checkpoint_with, config_of, found, id_of, logs, metadata
from perdure.testing.savers.threads import (
    a_deleted_thread_is_gone_and_others_stay,
    a_thread_can_grow_while_it_is_listed,
    lists_are_newest_first_and_can_be_cut,
    lists_can_be_filtered_by_any_metadata,
    lists_cover_all_namespaces_or_all_threads_if_none_is_named,
    the_history_of_a_channel_begins_at_the_value_that_was_stored,
    versions_grow,
)
from perdure.testing.savers.upkeep import (
    a_copied_thread_is_equal_and_independent,
    checkpoints_of_runs_can_be_removed,
    pruning_can_remove_everything,
    pruning_keeps_the_newest_of_each_namespace,
)

__all__ = [
    "ASYNC_CHECKS",
    "CHECKS",
    "UPKEEP_CHECKS",
    "chain",
    "checkpoint_with",
    "config_of",
    "found",
    "id_of",
    "logs",
    "metadata",
]

CHECKS: Final[tuple[Callable[[Saver], None], ...]] = (
    a_put_checkpoint_is_read_back_whole,
    versions_may_be_numbers_or_text,
    without_an_id_the_newest_of_the_namespace_is_found,
    the_config_of_a_put_is_the_parent_of_the_next,
    channels_that_did_not_change_keep_their_value,
    branches_do_not_disturb_each_other,
    what_was_read_is_a_copy,
    what_is_not_there_is_none,
    a_value_that_cannot_be_saved_is_refused,
    metadata_come_back_with_scalars_of_the_config,
    writes_come_back_with_their_task,
    the_first_of_two_equal_writes_stands_and_the_last_of_special_ones,
    lists_are_newest_first_and_can_be_cut,
    lists_cover_all_namespaces_or_all_threads_if_none_is_named,
    lists_can_be_filtered_by_any_metadata,
    a_thread_can_grow_while_it_is_listed,
    a_deleted_thread_is_gone_and_others_stay,
    versions_grow,
    the_history_of_a_channel_begins_at_the_value_that_was_stored,
)
UPKEEP_CHECKS: Final[tuple[Callable[[Saver], None], ...]] = (
    pruning_keeps_the_newest_of_each_namespace,
    pruning_can_remove_everything,
    checkpoints_of_runs_can_be_removed,
    a_copied_thread_is_equal_and_independent,
)
ASYNC_CHECKS: Final[tuple[Callable[[Saver], Awaitable[None]], ...]] = (
    async_methods_do_what_blocking_ones_do,
    many_tasks_may_write_at_once,
    upkeep_can_be_awaited,
)
