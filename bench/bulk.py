"""Items a second in bulk, with the text index: `python bench/bulk.py [items]`.

Texts of 20 words drawn from a vocabulary by Zipf's law, in namespaces of 1,000 items, put 1,000 and all at once.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import perdure
from perdure.store.base import Putting

WORDS, LENGTH, SPACE = 20_000, 20, 1000


def items(count: int) -> list[Putting]:
    """The same ones every time."""
    drawn = random.Random(7)
    words = [f"w{n:x}" for n in range(WORDS)]
    weights = [1 / (n + 1) for n in range(WORDS)]
    texts = [" ".join(drawn.choices(words, weights, k=LENGTH)) for _ in range(count)]
    return [(("users", f"u{n // SPACE}", "notes"), f"k{n}", {"text": text}) for n, text in enumerate(texts)]


def main() -> None:
    """Prints a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    given = items(count)
    with tempfile.TemporaryDirectory() as directory:
        for part in (1000, count):
            for name, url in (
                ("memory", "memory://"),
                ("sqlite", f"sqlite:///{Path(directory) / f'{part}.db'}"),
            ):
                with perdure.connect(url) as db:
                    began = time.perf_counter()
                    for start in range(0, count, part):
                        db.store.put_many(given[start : start + part])
                    took = time.perf_counter() - began
                    counted = db.store.count()
                    assert counted == count, counted
                print(f"{name:8} {count:,} items, {part:,} a commit: {count / took:,.0f} items/s")


if __name__ == "__main__":
    main()
