"""Lines of a few points each as an SVG picture, without a library: what a page of figures needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

WIDTH, HEIGHT, LEFT, LOW, TOP, RIGHT = 640, 360, 70, 48, 16, 120
COLOURS = ("#1f6feb", "#bc4c00", "#2da44e")

Points = Mapping[str, float]
"""From the number at the bottom, as JSON keeps it, to the height."""


def lines(series: Mapping[str, Points], across: str, up: str) -> str:
    """The picture: numbers at the bottom in powers of two, heights from 0."""
    numbers = sorted({int(number) for points in series.values() for number in points})
    most = max(height for points in series.values() for height in points.values())
    step = nice(most / 5)
    top = step * math.ceil(most / step)

    def x(number: float) -> float:
        share = math.log2(number / numbers[0]) / (math.log2(numbers[-1] / numbers[0]) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(height: float) -> float:
        return HEIGHT - LOW - height / top * (HEIGHT - LOW - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for place in range(round(top / step) + 1):
        at = y(place * step)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{place * step:,.0f}</text>')
    for number in numbers:
        parts.append(
            f'<text x="{x(number):.1f}" y="{HEIGHT - LOW + 20}" text-anchor="middle">{number}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>'
    )
    parts.append(f'<text x="16" y="{TOP + 4}" font-size="12">{escape(up)}</text>')
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        placed = [
            (x(int(number)), y(height)) for number, height in sorted(points.items(), key=lambda p: int(p[0]))
        ]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in placed)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in placed]
        a, b = placed[-1]
        parts.append(f'<text x="{a + 8:.1f}" y="{b + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def nice(size: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... that is not smaller."""
    power = 10 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= size)
