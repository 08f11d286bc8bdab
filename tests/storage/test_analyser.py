"""Terms of documents and queries: any text is one, and what a document says, it is found by."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.errors import QueryError
from perdure.storage.text.analyser import Analyser, TextQuery, analyser
from perdure.storage.text.letters import LETTERS, pieces

ENGLISH = analyser()
NONE = analyser("none")

# Letters of many scripts, marks, signs of the grammar, what databases choke on; beside Hypothesis' own idea of a text.
HOSTILE = st.text(
    st.sampled_from(
        "aAé\u0301ßİ\u0131ŉ½㎏Ω日本語かガｶﾞไทย한국ক্ষ\u200d\u200b\u00ad\0\ud800\udfff😀'\u2019\"“*:()^-+~ \n_"
    )
) | st.text(st.characters(), max_size=50)
WORDS = st.lists(
    st.sampled_from(
        ["king", "kings", "to", "be", "It\u2019s", "don't", "日本語", "語", "Ärger", "x1", "入門"]
    ),
    min_size=1,
)


def finds(query: TextQuery, text: str, by: Analyser = ENGLISH) -> bool:
    """Whether a search by this query would take the document as a candidate, and keep it."""
    counts = by.document([text]).counts
    asked = any(term in counts for term in query.terms) or any(
        term.startswith(prefix) for prefix in query.prefixes for term in counts
    )
    return asked and all(by.has_phrase([text], phrase) for phrase in query.phrases)


# -- documents ---------------------------------------------------------------------------------------------------------


def test_terms_are_counted_stemmed_and_without_case() -> None:
    counts, length = ENGLISH.document(["Kings and thinking KING", "thinks"])

    assert counts == {"king": 2, "and": 1, "think": 2}
    assert length == 5


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("king's kings' king\u2019s", {"king": 3}),
        ("don't DON\u2019T dont", {"dont": 3}),
        ("she'll she'd she shell", {"she": 3, "shell": 1}),
        ("drown'd drowned", {"drown": 2}),
        ("'tis '' ' x'", {"tis": 1, "x": 1}),
        ("rock'n'roll", {"rocknrol": 1}),
    ],
)
def test_an_apostrophe_does_not_end_a_word(text: str, terms: dict[str, int]) -> None:
    assert ENGLISH.document([text]).counts == terms


@pytest.mark.parametrize(
    "form", ["café", "cafe", "CAFÉ", "cafe\u0301", "ca\u00adfé", "ｃａｆé", "cafés", "\u200ecafé\u200f"]
)
def test_every_form_of_a_word_is_the_same_term(form: str) -> None:
    assert ENGLISH.document([form]).counts == {"cafe": 1}


def test_a_sign_that_stands_for_letters_is_found_by_them() -> None:
    assert ENGLISH.document(["5 ㎏, ﬁre"]).counts == {"5": 1, "kg": 1, "fire": 1}


def test_vowel_signs_are_letters_of_a_word() -> None:
    assert NONE.document(["हिन्दी"]).counts == {"हिन्दी": 1}


@pytest.mark.parametrize("separator", ["\0", "\ud800", "😀", "_", "-", "\n", "\u200b", "—"])
def test_what_is_no_letter_separates(separator: str) -> None:
    assert ENGLISH.document([f"tea{separator}time"]).counts == {"tea": 1, "time": 1}


def test_a_word_is_cut_at_64_characters() -> None:
    assert NONE.document(["x" * 1_000_000]).counts == {"x" * 64: 1}


def test_text_without_spaces_gives_pairs_and_the_last_character() -> None:
    assert ENGLISH.document(["Python入門書"]).counts == {"python": 1, "入門": 1, "門書": 1, "書": 1}


def test_other_languages_have_their_own_stems() -> None:
    assert analyser("german").document(["Häuser Haus"]).counts == {"haus": 2}
    assert analyser("french").document(["l\u2019homme hommes"]).counts == {"homm": 2}
    assert NONE.document(["kings king's"]).counts == {"kings": 2}


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match=r"'klingon'. Known are none, arabic, .*english") as refused:
        analyser("klingon")

    assert refused.value.part == "klingon"


def test_an_analyser_is_named_after_all_that_its_terms_depend_on() -> None:
    assert analyser("english") is ENGLISH
    assert ENGLISH.name.startswith("english/1/snowball-3.")
    assert NONE.name == "none/1"


# -- queries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The king of Denmark", TextQuery(("king", "denmark"), (), ())),
        ("king kings KING", TextQuery(("king",), (), ())),
        ("to be or not to be", TextQuery(("to", "be", "or", "not"), (), ())),
        ("", TextQuery((), (), ())),
        ('?! \0 \udfff 😀 * " **', TextQuery((), (), ())),
        ("king*", TextQuery((), ("king",), ())),
        ("the* being*", TextQuery((), ("the", "being"), ())),
        ("happy*", TextQuery(("happi",), ("happy",), ())),
        ("2*3 a*", TextQuery(("2", "3"), ("a",), ())),
        ('"the kings" arms', TextQuery(("the", "king", "arm"), (), (("the", "king"),))),
        ("“to be”", TextQuery(("to", "be"), (), (("to", "be"),))),
        ('"king* "', TextQuery(("king",), (), (("king",),))),
        ('"to be" or "not', TextQuery(("to", "be"), (), (("to", "be"),))),
        ('the "', TextQuery(("the",), (), ())),
        ('"" ghost', TextQuery(("ghost",), (), ())),
        ("日本語", TextQuery(("日本", "本語"), (), ())),
        ("日本語*", TextQuery(("日本", "本語"), (), ())),
        ("語 Python", TextQuery(("python",), ("語",), ())),
        ('"日本語"', TextQuery(("日本", "本語"), (), (("日本", "本語"),))),
        ('"本語 x"', TextQuery(("本語", "語", "x"), (), (("本語", "語", "x"),))),
        ('"x 語"', TextQuery(("x",), ("語",), (("x", "語"),))),
    ],
)
def test_a_query_means(text: str, query: TextQuery) -> None:
    assert ENGLISH.query(text) == query


def test_a_long_query_counts_64_words() -> None:
    words = [f"w{n}" for n in range(200)]

    assert ENGLISH.query(" ".join(words)).terms == tuple(words[:64])
    assert ENGLISH.query(f'"{" ".join(words)}"').phrases == (tuple(words[:64]),)
    assert len(ENGLISH.query(" ".join(f"{word}*" for word in words)).prefixes) == 64
    assert ENGLISH.query("the " * 4000 + "king").terms == ("king",)


@pytest.mark.timeout(30)  # each takes a second or two; with a step that goes by the square, minutes
@pytest.mark.parametrize(
    ("text", "words"),
    [("\ufdfa", 5), ("a\u3042", 2), ("\u0e48", 2), ("\u0301\u0327", 1), ("\ud800", 0), ("漢字", 3)],
)
def test_much_text_without_a_space_is_a_document(text: str, words: int) -> None:
    """Several words behind one sign (first and last joined by its neighbours), scripts in turn, only marks, nothing."""
    assert len(ENGLISH.document([text * (100_000 // len(text))]).counts) == words


def test_a_phrase_of_one_word_over_and_over_is_cut() -> None:
    assert ENGLISH.query(f'"{"well " * 100}"').phrases == (("well",) * 64,)


def test_a_megabyte_of_anything_is_a_query() -> None:
    for text in ('"a ' * 350_000, "\u0e38\u0e48\u0301" * 350_000, "x" * 1_000_000, "漢" * 1_000_000):
        ENGLISH.query(text)


# -- phrases -----------------------------------------------------------------------------------------------------------


def test_a_phrase_stands_in_one_text_in_its_order() -> None:
    (phrase,) = ENGLISH.query('"to be or not to be"').phrases

    assert ENGLISH.has_phrase(["no", "Hamlet: To be, or NOT to be!"], phrase)
    assert not ENGLISH.has_phrase(["to be or not", "to be"], phrase)
    assert not ENGLISH.has_phrase(["not to be or to be"], phrase)
    assert not ENGLISH.has_phrase([], phrase)


@pytest.mark.parametrize(
    ("phrase", "text", "stands"),
    [
        ("本語", "日本語Python", True),
        ("本語 Python", "日本語Python", True),
        ("日本 Python", "日本語Python", False),
        ("語", "日本語", True),
        ("x 日", "x日本", True),
        ("x 本", "x日本", False),
    ],
)
def test_a_phrase_without_spaces(phrase: str, text: str, stands: bool) -> None:
    assert finds(ENGLISH.query(f'"{phrase}"'), text) is stands


# -- any text ----------------------------------------------------------------------------------------------------------


@given(HOSTILE)
def test_any_text_is_a_document_and_a_query_and_always_the_same(text: str) -> None:
    fresh = Analyser("fresh", ENGLISH.stem, ENGLISH.stop_words, english=True)

    document, query = ENGLISH.document([text]), ENGLISH.query(text)

    assert (document, query) == (ENGLISH.document([text]), ENGLISH.query(text))
    assert (document, query) == (fresh.document([text]), fresh.query(text))
    assert document.length == sum(document.counts.values())
    assert all(0 < len(term) <= 64 for term in document.counts)


@given(HOSTILE)
def test_a_document_is_found_by_each_of_its_words(text: str) -> None:
    for word in text.split():
        query = ENGLISH.query(word.replace('"', " "))
        if query != TextQuery((), (), ()):
            assert finds(query, text), word


@given(HOSTILE, HOSTILE, st.data())
def test_a_document_is_found_by_a_phrase_of_its_own_words(
    before: str, after: str, data: st.DataObject
) -> None:
    words = data.draw(WORDS)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    phrase = " ".join(words[start:end])

    query = ENGLISH.query(f'"{phrase}"')

    assert query.phrases
    assert finds(query, " ".join([before, *words, after]))


@given(st.lists(HOSTILE))
def test_many_texts_count_like_each_alone(texts: list[str]) -> None:
    alone = [ENGLISH.document([text]) for text in texts]

    assert ENGLISH.document(texts).length == sum(document.length for document in alone)
    assert ENGLISH.document(texts).counts == ENGLISH.document([" ".join(texts)]).counts


@given(st.lists(st.text(st.characters(max_codepoint=130) | st.sampled_from("'\u2019東京 \t")), max_size=3))
def test_a_document_has_the_terms_of_its_texts_in_their_order(texts: list[str]) -> None:
    counts, length = ENGLISH.document(texts)

    assert list(counts.items()) == list(Counter(ENGLISH.terms(texts)).items())
    assert length == len(ENGLISH.terms(texts))


@given(st.text(st.characters(max_codepoint=127)))
@example("".join(map(chr, range(128))))
def test_ascii_comes_apart_as_any_text(text: str) -> None:
    assert pieces(text) == text.lower().translate(LETTERS).split()


def test_threads_share_an_analyser() -> None:
    words = [
        f"{stem}{end}" for stem in ("walk", "talk", "jump", "nation") for end in ("ing", "s", "ed", "alize")
    ]
    expected = ENGLISH.document(words * 50)
    shared = Analyser("shared", ENGLISH.stem, frozenset())
    got: list[object] = []

    def run() -> None:
        for _ in range(50):
            shared._terms.clear()  # so that each round stems
            shared._word.cache_clear()
            got.append(shared.document(words * 50) == expected)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == [True] * 200
