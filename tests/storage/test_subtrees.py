"""A subtree of namespaces is a range of them, whatever their labels hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.storage.memory.subtrees import below

labels = st.text(st.sampled_from("ab\0\x01\ud800\U0010ffff"), min_size=1, max_size=3)
namespaces = st.lists(labels, max_size=3).map(tuple)


@settings(max_examples=1000, deadline=None)
@given(st.sets(namespaces, max_size=12), namespaces)
def test_the_range_holds_what_begins_with_the_prefix_and_nothing_else(
    names: set[tuple[str, ...]], prefix: tuple[str, ...]
) -> None:
    for asked in (prefix, *names):
        found = below(sorted(names), asked)

        assert found == sorted(name for name in names if name[: len(asked)] == asked)
