"""Checks of what words find: postings, statistics of a subtree, items that are filed otherwise."""

from __future__ import annotations

from collections import Counter

from perdure.storage.contract import (
    AS_FILED,
    Embedded,
    Filed,
    FileItem,
    Namespace,
    PruneHistory,
    PutItem,
    Snapshot,
    TextTotals,
)
from perdure.testing import hostile
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened

EN = "english"


def filed_of(text: str, analysis: str = EN) -> Filed:
    """A text as terms: its words."""
    counts = Counter(text.split())
    return Filed(analysis, counts, counts.total())


def text_put(
    key: str, text: str | None, namespace: Namespace = NOTES, paths: tuple[str, ...] | None = None
) -> PutItem:
    """An item whose value is the text."""
    if text is None:
        return PutItem(namespace, key, None)
    return PutItem(namespace, key, text.encode(), filed=filed_of(text), paths=paths)


def found_in(
    now: Snapshot, prefix: Namespace, term: str, analysis: str = EN
) -> dict[tuple[Namespace, str], tuple[int, ...]]:
    """Where the term stands; refs are as good as the items they name."""
    postings = {posting[0]: posting for posting in now.postings(prefix, analysis, term)}
    rows = now.rows(list(postings))
    assert rows.keys() == postings.keys()
    assert now.refs([(row.namespace, row.key) for row in rows.values()]).keys() == rows.keys()
    assert now.versions(list(rows)) == {ref: row.version for ref, row in rows.items()}
    assert now.text_lengths(list(rows), analysis) == {ref: one[2] for ref, one in postings.items()}
    assert sorted(now.postings_in(list(rows), analysis, term)) == sorted(postings.values())
    assert now.frequency(prefix, analysis, term, 99) == len(postings)
    return {(row.namespace, row.key): postings[ref][1:] for ref, row in rows.items()}


def check_words_find_what_was_put(make: Make) -> None:
    """Postings of the subtree that was asked for, each with its number and the item's length."""
    with opened(make) as db:
        db.commit(
            commit_of(
                items=[
                    text_put("1", "tea and tea", ("u", "a")),
                    text_put("2", "tea", ("u", "b")),
                    text_put("3", "tea", ("ub",)),
                ]
            )
        )
        with db.read() as now:
            assert found_in(now, ("u",), "tea") == {
                (("u", "a"), "1"): (2, 3),
                (("u", "b"), "2"): (1, 1),
            }
            assert len(found_in(now, (), "tea")) == 3
            assert found_in(now, ("u", "a"), "and") == {(("u", "a"), "1"): (1, 3)}
            assert not found_in(now, (), "te")
            assert not found_in(now, (), "tea", "german")
            assert now.text_totals(("u",), EN) == TextTotals(2, 4, 0)
            assert now.text_totals((), "german") == TextTotals(0, 0, 3)
            assert now.frequency((), EN, "tea", 2) == 2
            assert now.count("postings") == 4


def check_what_is_gone_is_not_found(make: Make) -> None:
    """Replaced, deleted, replaced twice in one commit: only the words of what lives are found, counted and kept."""
    with opened(make) as db:
        db.commit(
            commit_of(1, items=[text_put("k", "old words"), text_put("l", "old"), text_put("m", "old")])
        )
        db.commit(commit_of(2, items=[text_put("k", "new words"), text_put("l", None)]))
        db.commit(commit_of(3, items=[text_put("m", "between"), text_put("m", None), text_put("m", "last")]))
        with db.read() as now:
            assert not found_in(now, (), "old")
            assert not found_in(now, (), "between")
            assert found_in(now, (), "words") == {(NOTES, "k"): (1, 2)}
            assert now.text_totals((), EN) == TextTotals(2, 3, 0)
            assert now.count("postings") == 3
        db.commit(commit_of(4, items=[text_put("k", None), text_put("m", None)]))
        db.commit(commit_of(5, removals=[PruneHistory(9)]))
        with db.read() as now:
            assert now.count("postings") == 0
            assert now.text_totals((), EN) == TextTotals(0, 0, 0)
        db.commit(commit_of(6, items=[text_put("k", "again")]))
        with db.read() as now:
            assert found_in(now, NOTES, "again") == {(NOTES, "k"): (1, 1)}
            assert now.text_totals((), EN) == TextTotals(1, 1, 0)


def check_items_that_are_filed_otherwise_are_told(make: Make) -> None:
    """Strays: filed nowhere, or under another analysis, unless nothing of them is to be found. `FileItem` files them."""
    with opened(make) as db:
        db.commit(
            commit_of(
                items=[
                    PutItem(NOTES, "plain", b"v"),
                    PutItem(NOTES, "german", b"v", filed=filed_of("tee", "german")),
                    PutItem(NOTES, "wordless", b"v", filed=Filed("german", {}, 0)),
                    PutItem(NOTES, "hidden", b"v", paths=()),
                    PutItem(NOTES, "some", b"v", filed=filed_of("tea"), paths=("a.b", "c")),
                ]
            )
        )
        with db.read() as now:
            assert [row.key for row in now.strays((), EN)] == ["plain", "german", "wordless"]
            assert now.text_totals(NOTES, EN) == TextTotals(1, 1, 3)
            assert not now.strays(("other",), EN)
            rows = {row.key: row for row in now.items((), None, 9)}
        assert (rows["hidden"].paths, rows["some"].paths, rows["plain"].paths) == ((), ("a.b", "c"), None)

        filings = [FileItem(NOTES, key, rows[key].version, filed_of(f"tea {key}")) for key in rows]
        filings += [FileItem(NOTES, "none", 1, filed_of("tea"))]
        db.commit(commit_of(filings=filings))
        with db.read() as now:
            assert not now.strays((), EN)
            assert {key for _, key in found_in(now, (), "tea")} == {"plain", "german", "wordless", "some"}
            assert not found_in(now, (), "tee", "german")
            assert [row.version for row in now.items((), None, 9)] == sorted(
                (row.version for row in rows.values()), reverse=True
            )
        vectors = Embedded("model", b"\0" * 8)
        kept = [FileItem(NOTES, key, row.version, AS_FILED, vectors) for key, row in rows.items()]
        kept += [FileItem(NOTES, "plain", rows["plain"].version, AS_FILED)]
        db.commit(commit_of(filings=kept))  # their words stay as they are, whoever filed them
        with db.read() as now:
            assert now.text_totals(NOTES, EN) == TextTotals(4, 8, 0)
            assert {key for _, key in found_in(now, (), "tea")} == {"plain", "german", "wordless", "some"}
            assert now.count("vectors") == 4
        db.commit(commit_of(filings=[FileItem(NOTES, "some", rows["some"].version, None)]))
        db.commit(commit_of(filings=[FileItem(NOTES, "some", rows["some"].version, AS_FILED)]))
        with db.read() as now:
            assert [row.key for row in now.strays((), EN)] == ["some"]
        db.commit(commit_of(items=[PutItem(NOTES, "plain", b"w")]))
        db.commit(commit_of(filings=[FileItem(NOTES, "plain", rows["plain"].version, filed_of("late"))]))
        with db.read() as now:
            assert not found_in(now, (), "late")  # it has another version meanwhile
            assert [row.key for row in now.strays((), EN)] == ["some", "plain"]


def check_terms_that_begin_alike_are_listed(make: Make) -> None:
    """In order, from one analysis, at most so many."""
    with opened(make) as db:
        db.commit(commit_of(items=[text_put("1", "tea team teams te b"), text_put("2", "tea")]))
        db.commit(commit_of(items=[PutItem(NOTES, "3", b"v", filed=filed_of("teapot", "german"))]))
        with db.read() as now:
            assert now.terms((), EN, "tea", 9) == ["tea", "team", "teams"]
            assert now.terms((), EN, "tea", 2) == ["tea", "team"]
            assert now.terms((), EN, "", 9) == ["b", "te", "tea", "team", "teams"]
            assert now.terms((), "german", "t", 9) == ["teapot"]
            assert now.terms((), "none", "t", 9) == []
            assert now.terms(("other",), EN, "t", 9) == []


def check_terms_are_any_text(make: Make) -> None:
    """Whatever their characters, NUL excepted."""
    words = [text.replace("\0", "") for text in hostile.STRINGS]
    words = [word for word in dict.fromkeys(words) if word]
    with opened(make) as db:
        filed = Filed(hostile.STRINGS[-1], dict.fromkeys(words, 1), len(words))
        db.commit(commit_of(items=[PutItem(NOTES, "k", b"v", filed=filed)]))
        db.commit(commit_of(items=[PutItem(NOTES, "l", b"v", filed=filed)]))
        with db.read() as now:
            for word in words:
                assert {key for _, key in found_in(now, (), word, hostile.STRINGS[-1])} == {"k", "l"}
