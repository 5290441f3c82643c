"""The arithmetic: quartiles, ratios per repeat, and when a result is too noisy to be believed.

Rule: a ratio is taken between two slices of the same repeat, which lie a few milliseconds apart, and only then the
median over the repeats: what disturbs the machine for longer than that disturbs both.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

# A row is noisy when its quartiles are further apart than this share of its median.
NOISE_LIMIT = 0.10

# Two runs of the same program were seen to differ by 4 %, with quartiles that do not overlap.
CHANGE_LIMIT = 0.05


class Spread(NamedTuple):
    """The middle of a set of numbers, and the quartiles around it."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """The distance of the quartiles as a share of the median (float)."""
        return (self.high - self.low) / self.median if self.median else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the quartiles are too far apart (bool)."""
        return self.noise > NOISE_LIMIT


def spread(numbers: Sequence[float]) -> Spread:
    """Return the median and the quartiles, which of fewer than two numbers are the number itself.

    Raises:
        ValueError: there are no numbers.
    """
    if not numbers:
        raise ValueError("no measurements")
    if len(numbers) == 1:
        return Spread(numbers[0], numbers[0], numbers[0])
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Return the spread of the ratios, repeat by repeat.

    Raises:
        ValueError: the two were not measured in the same repeats.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} repeats of one and {len(denominators)} of the other")
    return spread([one / two for one, two in zip(numerators, denominators)])


def change(before: Spread, now: Spread) -> tuple[float, bool]:
    """Return by which factor a ratio changed, and whether that is more than noise.

    It is when the quartiles do not overlap and the medians are further apart than two runs of the same program are.
    """
    factor = now.median / before.median
    apart = now.low > before.high or now.high < before.low
    return factor, apart and abs(factor - 1) > CHANGE_LIMIT
