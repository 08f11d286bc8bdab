"""What every backend has to do, as functions `check_*` that raise AssertionError.

Each takes a function that makes a fresh, empty backend. With pytest:

    @pytest.mark.parametrize("check", backends.CHECKS, ids=lambda check: check.__name__)
    def test_my_backend_conforms(check):
        check(MyBackend)

Here: the promises of `perdure.storage.contract`. Not here: durability, other processes (they need files, and kills).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from perdure.testing.backends.chains import (
    check_a_checkpoint_is_replaced_with_its_revision,
    check_ids_order_as_texts,
    check_lineage_ends_at_the_first_whole_one,
    check_listings_are_newest_first,
    check_parents_stay_whatever_comes_between,
    check_rows_of_threads_come_back_equal,
    check_threads_are_paged,
)
from perdure.testing.backends.commits import (
    check_a_commit_is_all_or_nothing,
    check_a_head_and_what_a_commit_rests_on_are_of_a_revision,
    check_heads_are_expected_chain_by_chain,
    check_item_expectations_name_all_that_fail,
    check_revisions_grow_and_commits_can_be_asked_for,
)
from perdure.testing.backends.forgetting import (
    check_a_receipt_is_what_was_forgotten,
    check_a_subtree_is_forgotten_with_its_past,
    check_forgetting_nothing_takes_no_view_away,
    check_views_older_than_forgetting_do_not_lie,
)
from perdure.testing.backends.groups import (
    check_a_group_is_as_its_members_one_by_one,
    check_an_event_loop_can_lead,
    check_commit_soon_tells_once,
)
from perdure.testing.backends.items import (
    check_a_prefix_is_a_subtree,
    check_a_subtree_of_many_namespaces_is_in_order,
    check_an_item_keeps_when_it_began,
    check_changes_come_in_whole_commits,
    check_deleting_what_is_not_there_is_nothing,
    check_history_is_pruned_first_ended_first,
    check_items_come_back_equal,
    check_one_commit_may_write_an_item_twice,
)
from perdure.testing.backends.kit import NOTES, Make, checkpoint_of, commit_of, put_of, write_of
from perdure.testing.backends.lifetimes import (
    check_a_refresh_makes_no_version,
    check_a_sweep_is_a_deletion_by_expiry,
    check_a_view_judges_expiry_by_its_own_time,
    check_a_write_over_an_expired_item_sweeps_it_first,
    check_an_expired_item_is_gone_at_once,
)
from perdure.testing.backends.moments import (
    check_a_closed_backend_says_so,
    check_a_snapshot_does_not_move,
    check_a_token_tells_of_every_commit,
    check_many_threads_lose_nothing,
    check_space_is_given_back,
)
from perdure.testing.backends.past import (
    check_a_deletion_that_was_pruned_in_the_middle_is_remembered,
    check_a_history_is_newest_first,
    check_a_moment_has_a_revision,
    check_a_view_is_exact_or_compacted,
    check_a_view_is_what_was_read_then,
    check_a_view_over_many_namespaces_is_in_order,
    check_versions_of_an_item_are_pruned_by_number,
    check_what_is_missing_from_changes_is_known,
    check_what_was_touched_is_told,
)
from perdure.testing.backends.removals import (
    check_a_run_that_nobody_shows_can_be_removed,
    check_an_unknown_removal_is_refused,
    check_removing_a_checkpoint_takes_its_writes,
    check_removing_a_thread_leaves_the_others,
)
from perdure.testing.backends.segments import (
    check_segments_are_a_range,
    check_segments_can_be_sealed_in_one_commit,
)
from perdure.testing.backends.standing import (
    check_a_number_stays_as_long_as_anything_is_kept,
    check_items_stand_as_they_were_made,
    check_the_past_has_its_own_neighbours,
    check_what_has_expired_stands_nowhere,
)
from perdure.testing.backends.texts import (
    check_items_that_are_filed_otherwise_are_told,
    check_terms_are_any_text,
    check_terms_that_begin_alike_are_listed,
    check_what_is_gone_is_not_found,
    check_words_find_what_was_put,
)
from perdure.testing.backends.vectors import (
    check_an_item_is_embedded_later,
    check_vectors_are_kept_by_namespace_and_model,
    check_vectors_of_what_has_expired_are_owed_no_more,
    check_vectors_that_are_owed_are_remembered,
    check_what_is_new_of_vectors_can_be_asked,
)
from perdure.testing.backends.writes import (
    check_a_run_is_written_once,
    check_pending_writes_keep_the_first_or_the_last,
    check_pending_writes_of_many_checkpoints_come_at_once,
    check_staged_memory_waits,
)

CHECKS: Final[Sequence[Callable[[Make], None]]] = (
    check_a_commit_is_all_or_nothing,
    check_revisions_grow_and_commits_can_be_asked_for,
    check_heads_are_expected_chain_by_chain,
    check_a_head_and_what_a_commit_rests_on_are_of_a_revision,
    check_item_expectations_name_all_that_fail,
    check_a_group_is_as_its_members_one_by_one,
    check_commit_soon_tells_once,
    check_an_event_loop_can_lead,
    check_rows_of_threads_come_back_equal,
    check_ids_order_as_texts,
    check_listings_are_newest_first,
    check_threads_are_paged,
    check_lineage_ends_at_the_first_whole_one,
    check_parents_stay_whatever_comes_between,
    check_a_checkpoint_is_replaced_with_its_revision,
    check_pending_writes_keep_the_first_or_the_last,
    check_pending_writes_of_many_checkpoints_come_at_once,
    check_staged_memory_waits,
    check_a_run_is_written_once,
    check_segments_are_a_range,
    check_segments_can_be_sealed_in_one_commit,
    check_a_run_that_nobody_shows_can_be_removed,
    check_removing_a_thread_leaves_the_others,
    check_removing_a_checkpoint_takes_its_writes,
    check_an_unknown_removal_is_refused,
    check_items_come_back_equal,
    check_an_item_keeps_when_it_began,
    check_one_commit_may_write_an_item_twice,
    check_deleting_what_is_not_there_is_nothing,
    check_a_prefix_is_a_subtree,
    check_a_subtree_of_many_namespaces_is_in_order,
    check_changes_come_in_whole_commits,
    check_history_is_pruned_first_ended_first,
    check_a_history_is_newest_first,
    check_a_view_is_what_was_read_then,
    check_a_view_over_many_namespaces_is_in_order,
    check_a_view_is_exact_or_compacted,
    check_items_stand_as_they_were_made,
    check_a_number_stays_as_long_as_anything_is_kept,
    check_the_past_has_its_own_neighbours,
    check_what_has_expired_stands_nowhere,
    check_a_deletion_that_was_pruned_in_the_middle_is_remembered,
    check_versions_of_an_item_are_pruned_by_number,
    check_what_is_missing_from_changes_is_known,
    check_a_moment_has_a_revision,
    check_what_was_touched_is_told,
    check_an_expired_item_is_gone_at_once,
    check_a_sweep_is_a_deletion_by_expiry,
    check_a_write_over_an_expired_item_sweeps_it_first,
    check_a_refresh_makes_no_version,
    check_a_view_judges_expiry_by_its_own_time,
    check_a_snapshot_does_not_move,
    check_a_token_tells_of_every_commit,
    check_many_threads_lose_nothing,
    check_a_closed_backend_says_so,
    check_space_is_given_back,
    check_words_find_what_was_put,
    check_what_is_gone_is_not_found,
    check_items_that_are_filed_otherwise_are_told,
    check_terms_that_begin_alike_are_listed,
    check_terms_are_any_text,
    check_an_item_is_embedded_later,
    check_vectors_are_kept_by_namespace_and_model,
    check_vectors_of_what_has_expired_are_owed_no_more,
    check_vectors_that_are_owed_are_remembered,
    check_what_is_new_of_vectors_can_be_asked,
    check_a_subtree_is_forgotten_with_its_past,
    check_views_older_than_forgetting_do_not_lie,
    check_forgetting_nothing_takes_no_view_away,
    check_a_receipt_is_what_was_forgotten,
)
"""All of them."""

__all__ = [
    "CHECKS",
    "NOTES",
    "Make",
    "check_a_checkpoint_is_replaced_with_its_revision",
    "check_a_closed_backend_says_so",
    "check_a_commit_is_all_or_nothing",
    "check_a_deletion_that_was_pruned_in_the_middle_is_remembered",
    "check_a_group_is_as_its_members_one_by_one",
    "check_a_head_and_what_a_commit_rests_on_are_of_a_revision",
    "check_a_history_is_newest_first",
    "check_a_moment_has_a_revision",
    "check_a_number_stays_as_long_as_anything_is_kept",
    "check_a_prefix_is_a_subtree",
    "check_a_receipt_is_what_was_forgotten",
    "check_a_refresh_makes_no_version",
    "check_a_run_is_written_once",
    "check_a_run_that_nobody_shows_can_be_removed",
    "check_a_snapshot_does_not_move",
    "check_a_subtree_is_forgotten_with_its_past",
    "check_a_subtree_of_many_namespaces_is_in_order",
    "check_a_sweep_is_a_deletion_by_expiry",
    "check_a_token_tells_of_every_commit",
    "check_a_view_is_exact_or_compacted",
    "check_a_view_is_what_was_read_then",
    "check_a_view_judges_expiry_by_its_own_time",
    "check_a_view_over_many_namespaces_is_in_order",
    "check_a_write_over_an_expired_item_sweeps_it_first",
    "check_an_event_loop_can_lead",
    "check_an_expired_item_is_gone_at_once",
    "check_an_item_keeps_when_it_began",
    "check_an_unknown_removal_is_refused",
    "check_changes_come_in_whole_commits",
    "check_commit_soon_tells_once",
    "check_deleting_what_is_not_there_is_nothing",
    "check_forgetting_nothing_takes_no_view_away",
    "check_heads_are_expected_chain_by_chain",
    "check_history_is_pruned_first_ended_first",
    "check_ids_order_as_texts",
    "check_item_expectations_name_all_that_fail",
    "check_items_come_back_equal",
    "check_items_stand_as_they_were_made",
    "check_lineage_ends_at_the_first_whole_one",
    "check_listings_are_newest_first",
    "check_many_threads_lose_nothing",
    "check_one_commit_may_write_an_item_twice",
    "check_parents_stay_whatever_comes_between",
    "check_pending_writes_keep_the_first_or_the_last",
    "check_pending_writes_of_many_checkpoints_come_at_once",
    "check_removing_a_checkpoint_takes_its_writes",
    "check_removing_a_thread_leaves_the_others",
    "check_revisions_grow_and_commits_can_be_asked_for",
    "check_rows_of_threads_come_back_equal",
    "check_segments_are_a_range",
    "check_segments_can_be_sealed_in_one_commit",
    "check_space_is_given_back",
    "check_staged_memory_waits",
    "check_the_past_has_its_own_neighbours",
    "check_threads_are_paged",
    "check_versions_of_an_item_are_pruned_by_number",
    "check_views_older_than_forgetting_do_not_lie",
    "check_what_is_missing_from_changes_is_known",
    "check_what_was_touched_is_told",
    "checkpoint_of",
    "commit_of",
    "put_of",
    "write_of",
]
