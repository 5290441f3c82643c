"""A picture of a report: how each operation compares with its baseline, and what the floor allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import ReportError

TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def check() -> None:
    """Say at once when no picture can be drawn.

    Raises:
        ReportError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as problem:
        raise ReportError(f"--plot needs matplotlib ({problem}): pip install matplotlib, or use --json") from None


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw one bar per row that has a ratio, with its quartiles, and a mark where the floor is.

    Raises:
        ReportError: no row has a ratio, or matplotlib cannot write files of this kind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in report["results"] if "x" in row][::-1]
    if not rows:
        raise ReportError("nothing to draw: no row has a ratio")
    head = report["head"]
    figure = Figure(figsize=(10, 1.8 + 0.28 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    places = list(range(len(rows)))
    medians = [row["x"]["median"] for row in rows]
    # A bar begins at 1: to the right it is faster than the baseline, to the left slower.
    colours = ["tab:blue" if median >= 1 else "tab:orange" for median in medians]
    axes.barh(places, [median - 1 for median in medians], left=1, color=colours, height=0.7)
    axes.hlines(places, [row["x"]["low"] for row in rows], [row["x"]["high"] for row in rows], color="black")
    limits = [(row["limit"]["median"], place) for place, row in zip(places, rows) if "limit" in row]
    if limits:
        axes.plot(*zip(*limits), "k|", markersize=9, label="C floor")
        axes.legend(loc="lower right")
    axes.axvline(1, color="black", linewidth=0.8)
    left, right = axes.get_xlim()
    ticks = [tick for tick in TICKS if left <= tick <= right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(places, [row["name"] + (" ~" if row["noisy"] else "") for row in rows])
    axes.set_ylim(-0.8, len(rows) - 0.2)
    figure.suptitle(f"uds_cffi {head['uds_cffi']}, {head['interpreter']}, {head['kernel']}, {head['date'][:10]}")
    figure.supxlabel("times the speed of the baseline: the standard library, or the bare call", fontsize="medium")
    try:
        figure.savefig(path)
    except ValueError as problem:
        raise ReportError(f"{path}: {problem}") from None
