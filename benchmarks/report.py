"""From slices to figures, and from figures to a table, a file, and a comparison with an earlier file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .figures import NOISE_LIMIT, Spread, change, ratio, spread
from .measure import Measured
from .operation import BARE, CONTROL, FLOOR, OURS, SCALING, STDLIB, Operation

FORMAT = 1


class ReportError(Exception):
    """A file is not a report that can be read here."""


def summary(operation: Operation, measured: Measured) -> dict[str, Any]:
    """Return the row of one operation, as it stands in the file.

    The ratios are the baseline's figure by ours (`x`, above 1 is better than the baseline), the baseline's by the
    floor's (`limit`, what nothing can exceed), by that of bare calls through cffi (`cffi`, what no library that uses
    cffi can exceed), ours by the floor's (`over`), and the baseline's by that of the same once more (`control`).
    """
    figures = measured.figures
    row: dict[str, Any] = {
        "name": operation.name,
        "group": operation.group,
        "baseline": operation.baseline,
        "unit": operation.unit,
        "figures": {name: spread(values)._asdict() for name, values in figures.items()},
        "notes": measured.notes,
    }
    pairs = {
        "x": (operation.baseline, OURS),
        "cffi": (STDLIB, BARE),
        "limit": (operation.baseline, FLOOR),
        "over": (OURS, FLOOR),
        "control": (operation.baseline, CONTROL),
    }
    for key, (one, two) in pairs.items():
        if one in figures and two in figures:
            row[key] = ratio(figures[one], figures[two])._asdict()
    # A row without a baseline has nothing but its figure, and that moves with the machine's clock.
    row["noisy"] = Spread(**(row.get("x") or row["figures"][OURS])).noisy
    return row


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    path.write_text(dumps(report), encoding="utf-8")


def dumps(report: dict[str, Any]) -> str:
    """Return a report as JSON."""
    return json.dumps(report, indent=1) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Read a report.

    Raises:
        ReportError: it cannot be read, or is none.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ReportError(f"{path}: {problem.strerror}") from None
    except ValueError as problem:
        raise ReportError(f"{path} is no JSON: {problem}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ReportError(f"{path} is no report of these benchmarks (format {FORMAT})")
    return report


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _ratio_text(x: dict[str, float]) -> str:
    return f"{_number(x['median'])} ({_number(x['low'])}-{_number(x['high'])})"


def _figure(value: float, unit: str) -> str:
    if unit != "ns":
        return f"{value:.0f} {unit}"
    for limit, divisor, name in ((1e4, 1, "ns"), (1e7, 1e3, "us"), (1e10, 1e6, "ms")):
        if value < limit:
            return f"{value / divisor:.0f} {name}"
    return f"{value / 1e9:.0f} s"


def _cells(row: dict[str, Any], before: dict[str, Any] | None, compares: bool) -> list[str]:
    ours = row["figures"][OURS]["median"]
    cells = [row["name"] + (" ~" if row["noisy"] else ""), _figure(ours, row["unit"])]
    x = row.get("x")
    cells.append(_ratio_text(x) if x else "")
    cells += [_number(row[key]["median"]) if key in row else "" for key in ("cffi", "limit", "over")]
    if compares:
        cells.append(_compared(row, before))
    return cells


def _compared(row: dict[str, Any], before: dict[str, Any] | None) -> str:
    if before is None or "x" not in before or "x" not in row:
        return ""
    factor, real = change(Spread(**before["x"]), Spread(**row["x"]))
    verdict = "" if not real else " faster" if factor > 1 else " slower"
    return f"{_number(before['x']['median'])}, {(factor - 1) * 100:+.0f} %{verdict}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(row, widths)] for row in rows)
    ]


def _baseline_name(baseline: str) -> str:
    return {"stdlib": "the standard library", "bare": "the bare call"}.get(baseline, baseline)


def head_lines(head: dict[str, Any]) -> list[str]:
    """Return the head of a table."""
    lines = [
        f"{head['date']}  {head['interpreter']} (Python {head['python']})  uds_cffi {head['uds_cffi']}",
        f"cffi {head['cffi']}, backend: {head['cffi_backend']}  {head['kernel']} {head['machine']}  "
        f"{head['processors']} x {head['processor']}",
    ]
    if head["cffi_backend"] == "not optimised":
        lines.append("This cffi was compiled without optimisation: every call costs more; see docs/benchmarks.md.")
    return lines


def table(report: dict[str, Any], against: dict[str, Any] | None = None) -> str:
    """Return a report as text, beside an earlier one if that is given."""
    head = report["head"]
    lines = head_lines(head)
    earlier = {row["name"]: row for row in against["results"]} if against else {}
    if against:
        lines.append(f"before: {against['head']['date']}, {against['head']['interpreter']}")
        if against["head"]["interpreter"] != head["interpreter"]:
            lines.append("The earlier report is of another interpreter.")
    title = ["operation", "ours", "x (quartiles)", "cffi", "limit", "ours/floor"] + (
        ["before, change"] if against else []
    )
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in report["results"]:
        groups.setdefault((row["group"], row["baseline"]), []).append(row)
    cells = [_cells(row, earlier.get(row["name"]), bool(against)) for row in report["results"]]
    text = iter(_aligned([title, *cells])) if cells else iter([""])
    lines += ["", next(text)]
    texts = dict(zip([row["name"] for row in report["results"]], text))
    for (group, baseline), rows in groups.items():
        compared = any("x" in row for row in rows)
        lines += ["", f"{group} (x: {_baseline_name(baseline)} = 1)" if compared else group]
        for row in rows:
            lines.append(texts[row["name"]])
            if "control" in row:
                lines.append(f"    control, {_baseline_name(baseline)} once more: {_ratio_text(row['control'])}")
            lines += [f"    {note}" for note in row["notes"]]
    lines += ["", *growth_lines(report), *noise_lines(report)]
    return "\n".join(lines) + "\n"


def growth_lines(report: dict[str, Any]) -> list[str]:
    """Return a line that says how the cost of a message grew with the number of connections, if that was measured."""
    rows = [row for row in report["results"] if row["group"] == SCALING]
    if len(rows) < 2:
        return []
    first, last = rows[0], rows[-1]
    grown = [
        f"{name} {(last['figures'][name]['median'] / first['figures'][name]['median'] - 1) * 100:+.0f} %"
        for name in first["figures"]
    ]
    _, real = change(Spread(**first["x"]), Spread(**last["x"]))
    verdict = (
        "more than the standard library's"
        if real and last["x"]["median"] < first["x"]["median"]
        else ("no more than the standard library's")
    )
    return [f"from {first['name']} to {last['name']} the cost of a message grew: {', '.join(grown)}; ours {verdict}."]


def noise_lines(report: dict[str, Any]) -> list[str]:
    """Return the verdict about the machine, and what was not measured."""
    rows = report["results"]
    noisy = [row["name"] for row in rows if row["noisy"]]
    lines = []
    if noisy:
        lines.append(
            f"TOO NOISY: {len(noisy)} of {len(rows)} rows, marked ~, have quartiles more than {NOISE_LIMIT:.0%} of the "
            "median apart; do not rely on them, and repeat on a quiet machine."
        )
    else:
        lines.append(f"Quiet enough: the quartiles of every row are within {NOISE_LIMIT:.0%} of its median.")
    if report["load"] is not None:
        lines.append(f"Load before the first measurement: {report['load']:.2f} processes.")
    lines += [f"not measured: {name}: {reason}" for name, reason in report["missing"].items()]
    return lines
