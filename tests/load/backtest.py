"""Value-at-risk against what came next: `python -m tests.load.backtest FILE [--book BTC=0.5,ETH=0.3,SOL=0.2]`.

FILE is a price history with daily prices. On every day the 1-day loss that is exceeded with 1 % probability is stated for a long book
of fixed shares (rebalanced daily) from the days before alone: by exponentially weighted covariance with Student-t tails of 5 degrees
of freedom, and by the 1 % quantile of the book's own returns over the trailing 250 days (100 at least). Printed are the breaches,
and how likely a right model is to be at least as far off (Kupiec's proportion-of-failures test). Asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from math import atan, erfc, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from defi_risk.health.covariance import covariance, student_t_scale
from defi_risk.history import DAY, PriceHistory, load

PROBABILITY = 0.01
DEGREES = 5
FEWEST, MOST = 100, 250
Method = Callable[[PriceHistory, NDArray[np.float64]], float]


def main() -> int:
    """Run both methods over the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.backtest", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--book", default="BTC=0.5,ETH=0.3,SOL=0.2")
    given = parser.parse_args()
    book = {name: float(share) for name, _, share in (part.partition("=") for part in str(given.book).split(","))}
    history = load(str(given.file)).select(book)
    shares = np.array(list(book.values()))
    print(f"{history.source}: {', '.join(f'{share:.0%} {name}' for name, share in book.items())}, 1 day, 99 %\n")
    print("| method | days | breaches | expected | rate | Kupiec p | mean VaR |\n| --- | --- | --- | --- | --- | --- | --- |")
    for title, method in (("EWMA, Student-t(5)", parametric), ("historical quantile", historical)):
        levels, losses = backtest(history, shares, method)
        breaches = sum(loss > level for level, loss in zip(levels, losses, strict=True))
        days = len(levels)
        rate, p = breaches / days, kupiec(days, breaches, PROBABILITY)
        mean = sum(levels) / days
        print(f"| {title} | {days} | {breaches} | {days * PROBABILITY:.1f} | {rate:.2%} | {p:.3f} | {mean:.2%} |")
    return 0


def backtest(history: PriceHistory, shares: NDArray[np.float64], method: Method) -> tuple[Sequence[float], Sequence[float]]:
    """The stated loss of each day, from the days before, and the loss that came; both as fractions of the book."""
    prices = history.prices
    levels: list[float] = []
    losses: list[float] = []
    for day in range(FEWEST, len(prices) - 1):
        first = max(0, day - MOST)
        past = PriceHistory(history.times[first : day + 1], history.names, prices[first : day + 1], history.source)
        levels.append(method(past, shares))
        losses.append(-float((prices[day + 1] / prices[day] - 1) @ shares))
    return levels, losses


def parametric(past: PriceHistory, shares: NDArray[np.float64]) -> float:
    """Quantile of a scaled Student-t with the covariance of the past."""
    found = covariance(past.names, volatility={}, correlation={}, stables=(), history=past)
    return -student_quantile(PROBABILITY) * student_t_scale(DEGREES) * sqrt(float(shares @ found.matrix @ shares))


def historical(past: PriceHistory, shares: NDArray[np.float64]) -> float:
    """Empirical quantile of the book's past returns: what a bootstrap of whole days converges to."""
    returns = np.expm1(past.log_returns(DAY).values) @ shares
    return -float(np.quantile(returns, PROBABILITY))


def student_quantile(probability: float) -> float:
    """Quantile of Student-t with 5 degrees of freedom, by bisection of its distribution function in closed form."""
    low, high = -1_000.0, 1_000.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle) < probability else (low, middle)
    return high


def student_cdf(t: float) -> float:
    """Distribution function of Student-t with 5 degrees of freedom."""
    angle = atan(t / sqrt(5))
    square = 1 / (1 + t * t / 5)  # of the cosine
    return 0.5 + (angle + t / sqrt(5) * square * (1 + 2 / 3 * square)) / pi


def kupiec(days: int, breaches: int, probability: float) -> float:
    """p-value of Kupiec's proportion-of-failures test: chi-squared with one degree of freedom."""

    def likelihood(rate: float) -> float:
        terms = ((1 - rate, days - breaches), (rate, breaches))
        return sum(count * log(chance) for chance, count in terms if count)

    ratio = -2 * (likelihood(probability) - likelihood(breaches / days))
    return erfc(sqrt(max(0.0, ratio) / 2))


if __name__ == "__main__":
    sys.exit(main())
