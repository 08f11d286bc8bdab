"""The figures: what each is called, its unit, its target, and whether the target is met.

Pure: samples in, verdicts out. Running programs and printing is done in `run.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["us", "ms", "s", "x", "steps/s", "items/s", "bytes"]


@dataclass(frozen=True, slots=True)
class Times:
    """Ours is at least so many times better than theirs, by the least disturbed sample of each."""

    factor: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """Ours is at most this, by the median; above its floor, where it has one."""

    limit: float


@dataclass(frozen=True, slots=True)
class Floors:
    """Ours is at most so many times its floor, by the median of the quotients."""

    factor: float


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Ours is at least this, by the median."""

    limit: float


@dataclass(frozen=True, slots=True)
class Figure:
    """`key`: under which programs answer it. `more`: more is better. `apart`: theirs is of another size: no ratio."""

    key: str
    title: str
    unit: Unit
    target: Times | AtMost | Floors | AtLeast | None = None
    more: bool = False
    apart: str = ""


ENGINE: Sequence[Figure] = (
    Figure("loop_sync_saver", "step of a loop of 100 in memory, blocking, saver", "us", Times(10)),
    Figure("loop_sync_none", "the same, no saver", "us", Times(10)),
    Figure("loop_async_saver", "step of a loop of 100 in memory, async, saver", "us", Times(10)),
    Figure("loop_async_none", "the same, no saver", "us", Times(10)),
    Figure("invoke_saver", "whole invoke of a graph of one step, saver", "us", Times(10)),
    Figure("invoke_none", "the same, no saver", "us", Times(10)),
    Figure("durable", "durable step on SQLite", "us", AtMost(90)),
    Figure("durable_memory", "durable step with one memory write and its history", "us", AtMost(140)),
    Figure("durable_async", "durable step, async", "us", AtMost(150)),
    Figure("durable_busy", "durable step beside a busy thread", "us"),
    Figure("durable_async_busy", "durable step beside a busy thread, async", "us"),
    Figure("durable_ram", "durable step on a RAM disk", "us", Times(8)),
    Figure("crowd", "200 async threads at once on one file", "steps/s", Times(10), more=True),
    Figure("sends_saver", "task of 1,000 `Send`s, saver", "us", Times(8)),
    Figure("sends_none", "the same, no saver", "us", Times(8)),
    *(
        figure
        for kind, of in (
            ("text", "text"),
            ("bytes", "bytes that don't compress"),
            ("messages", "LangChain messages"),
        )
        for figure in (
            Figure(
                f"{kind}_size",
                f"2,000 turns of 1 KB {of}: disk / raw",
                "x",
                AtMost(1.6 if kind == "bytes" else 1.3),
            ),
            Figure(
                f"{kind}_turn",
                "- turn 2,000 above turn 100",
                "ms",
                AtMost(1),
                apart="turn {turns} above turn 100",
            ),
            Figure(
                f"{kind}_cold_turn",
                "- turn 2,000 in a new process above turn 100 there and the bare decode below",
                "ms",
                AtMost(1),
                apart="turn {turns}",
            ),
            Figure(
                f"{kind}_get_state", "- `get_state` at its end", "ms", AtMost(5), apart="after {turns} turns"
            ),
            Figure(
                f"{kind}_cold_get_state",
                "- `get_state` at its end, in a new process",
                "ms",
                AtMost(5),
                apart="after {turns} turns",
            ),
            Figure(f"{kind}_bare_decode", "- its bytes through zstd and ormsgpack alone", "ms"),
            Figure(f"{kind}_history", "- history of ten", "ms", AtMost(20), apart="after {turns} turns"),
        )
    ),
    Figure("import_root", "`import perdure` (theirs: `langgraph.graph`)", "ms", AtMost(100)),
    Figure("import_graphs", "import of graphs and the SQLite saver", "ms"),
)

MEMORY: Sequence[Figure] = (
    Figure("get_memory", "`get`, in memory (theirs gives out the object it was given)", "us", AtMost(15)),
    Figure("get_sqlite", "`get`, SQLite", "us", AtMost(30)),
    Figure(
        "vectors_one_memory",
        "best 10 by vector of a namespace of 100, 100,000 items in 1,000, in memory",
        "us",
        Times(20),
    ),
    Figure("vectors_all_memory", "- of all 100,000", "ms", Times(100)),
    Figure("vectors_one_sqlite", "the same on SQLite, of a namespace of 100", "us", Times(8)),
    Figure("vectors_all_sqlite", "- of all 100,000", "ms", Times(20)),
    Figure("million", "best 10 by vector of a namespace of 1,000,000, SQLite", "ms", AtMost(200)),
    Figure("million_resident", "- memory held, of the bytes of the vectors", "x", AtMost(1.1)),
    Figure("million_first", "- the first search, which reads them", "s"),
    Figure("bulk", "items put in bulk with their words, SQLite", "items/s", AtLeast(10_000), more=True),
    Figure("texts_bytes", "- bytes an item of 20 words on disk", "bytes"),
    Figure(
        "texts_one",
        "best 10 by five words of a namespace of 1,000, 1,000,000 items in 1,000, SQLite",
        "ms",
        AtMost(5),
    ),
    Figure("texts_all_rare", "- of all, where the rarest words stand in at most 2,000", "ms", AtMost(30)),
    Figure("texts_all_frequent", "- of all, any words", "ms", AtMost(300)),
    Figure(
        "listing_rare",
        "filtered listing of 1,000,000 in one namespace, declared index, 1,000 match, SQLite",
        "ms",
        AtMost(10),
    ),
    Figure("listing_common", "- half match", "ms", AtMost(10)),
    Figure("listing_old", "- 100,000 match, all among the oldest", "ms", AtMost(10)),
    Figure("listing_rare_plain", "the same without an index, 1,000 match", "ms"),
    Figure("listing_common_plain", "- half match", "ms"),
    Figure("listing_old_plain", "- 100,000 match, all among the oldest", "ms"),
)


POSTGRES: Sequence[Figure] = (
    Figure("pg_step", "durable step", "us", Floors(1.4)),
    Figure("pg_step_memory", "- with one memory write and its history", "us"),
    Figure("pg_step_async", "- async", "us"),
    Figure("pg_crowd", "200 async threads at once", "steps/s", Times(6), more=True),
    Figure(
        "pg_size",
        "2,000 turns of 1 KB text, none vacuumed: bytes that all tables grow by / raw",
        "x",
        AtMost(1.4),
    ),
    Figure("pg_size_in_use", "- once more, after a vacuum", "x", AtMost(1.4)),
    Figure("pg_turn", "- turn 2,000 above turn 100", "ms", apart="turn {turns} above turn 100"),
    Figure(
        "pg_search_one", "best 10 by vector of a namespace of 100, 100,000 items in 1,000", "us", Times(5)
    ),
    Figure("pg_search_all", "- of all 100,000: ours exactly, theirs by HNSW", "ms", Times(5)),
    Figure("pg_recall_all", "- of all 100,000: recall@10 of ten searches", "x", more=True),
    Figure(
        "pg_recall",
        "- of all 100,000, one in a hundred meets the filter: recall@10 of ten searches",
        "x",
        AtLeast(0.99),
        more=True,
    ),
    Figure("pg_large", "best 10 by vector of a namespace of 100,000, exactly", "ms"),
    Figure("pg_hnsw", "- by HNSW, as asked for by `ann_index_config`; theirs: as above", "ms"),
    Figure("pg_hnsw_recall", "- by HNSW: recall@10 of ten searches", "x", more=True),
    Figure("pg_put", "items put in batches of 1,000 with their vectors", "items/s", more=True),
    Figure("pg_writers", "16 processes, each durable steps of a thread", "steps/s", more=True),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of one figure by one library. `floors`: of the machine, one right before each sample, or none."""

    samples: tuple[float, ...]
    floors: tuple[float, ...] = ()

    @classmethod
    def of(cls, raw: Sequence[float | Sequence[float]]) -> Measured:
        """From what a program answered: plain samples, or pairs of a sample and its floor."""
        pairs = [entry for entry in raw if not isinstance(entry, (int, float))]
        if pairs:
            return cls(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))
        return cls(tuple(float(entry) for entry in raw if isinstance(entry, (int, float))))

    def best(self, *, more: bool) -> float:
        return max(self.samples) if more else min(self.samples)

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def floor(self) -> float | None:
        return median(self.floors) if self.floors else None

    @property
    def above(self) -> float:
        """The median of what is left of each sample without the floor that was measured right before it."""
        return median(self._differences) if self.floors else self.median

    @property
    def floors_apart(self) -> float:
        """The median of how many times its floor each sample is."""
        return median(sample / floor for sample, floor in zip(self.samples, self.floors, strict=True))

    def unclear(self, limit: float) -> bool:
        """Whether the floor swings so much that nobody can say on which side of `limit` the figure is."""
        if len(self.floors) < 2:
            return False
        lower, _, upper = quantiles(self._differences, n=4)
        return self.above < 0 or abs(self.above - limit) < 1.5 * (upper - lower) / len(self.floors) ** 0.5

    @property
    def _differences(self) -> list[float]:
        return [sample - floor for sample, floor in zip(self.samples, self.floors, strict=True)]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with what was measured. `theirs` is None where they couldn't be measured."""

    figure: Figure
    ours: Measured
    theirs: Measured | None
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; None where the two can't be compared."""
        if self.theirs is None or self.figure.apart:
            return None
        more = self.figure.more
        ours, theirs = self.ours.best(more=more), self.theirs.best(more=more)
        return ours / theirs if more else theirs / ours

    @property
    def target(self) -> str:
        match self.figure.target:
            case Times(factor):
                return f"{factor:g}x {'more' if self.figure.more else 'less'}"
            case AtMost(limit):
                return f"<= {limit:g} {self.figure.unit}{' above floor' if self.ours.floors else ''}"
            case Floors(factor):
                return f"<= {factor:g} floors"
            case AtLeast(limit):
                return f">= {limit:,g} {self.figure.unit}"
            case None:
                return ""

    @property
    def met(self) -> bool | None:
        """None: no target, nothing to compare with, or the machine too restless to say."""
        match self.figure.target:
            case Times(factor):
                return None if self.ratio is None else self.ratio >= factor
            case AtMost(limit):
                return None if self.ours.unclear(limit) else self.ours.above <= limit
            case Floors(factor):
                return self.ours.floors_apart <= factor
            case AtLeast(limit):
                return self.ours.median >= limit
            case None:
                return None

    @property
    def verdict(self) -> str:
        if self.met is None:
            return "noise" if isinstance(self.figure.target, AtMost) else ""
        return "met" if self.met else "NOT MET"

    @property
    def cells(self) -> list[str]:
        """Title, ours (best, median), above the floor, floor, theirs (best, median), ratio, target, verdict."""
        more = self.figure.more
        floor = self.ours.floor
        theirs = (
            [""] * 2
            if self.theirs is None
            else [short(self.theirs.best(more=more)), short(self.theirs.median)]
        )
        if self.theirs is not None and self.remark:
            theirs[0] += f" ({self.remark})"
        return [
            self.figure.title,
            self.figure.unit,
            short(self.ours.best(more=more)),
            short(self.ours.median),
            "" if floor is None else short(floor),
            "" if floor is None else short(self.ours.above),
            *theirs,
            "" if self.theirs is None or not self.theirs.floors else short(self.theirs.above),
            "" if self.ratio is None else f"{short(self.ratio)}x",
            self.target,
            self.verdict,
        ]


HEADINGS = (
    "figure",
    "unit",
    "ours, best",
    "median",
    "floor",
    "above floor",
    "theirs, best",
    "median",
    "above floor",
    "ratio",
    "target",
    "verdict",
)


def short(number: float) -> str:
    """Three digits that count."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def grown(turns: Sequence[float], sizes: Sequence[float], wanted: float) -> float:
    """Bytes after `wanted` turns of a file that had these sizes after these turns: a*n + b*n*n through both points.

    What is saved again in full with every turn grows as the square of the number of turns.
    """
    (n, m), (size_n, size_m) = turns, sizes
    b = (size_m / m - size_n / n) / (m - n)
    a = size_n / n - b * n
    return a * wanted + b * wanted * wanted
