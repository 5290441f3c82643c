"""The report of ``python -m uds_cffi``: versions and capabilities, as a table or as JSON."""

from __future__ import annotations

import json
import platform

from . import __version__
from .printing import PROGRAM, complain, print_lines
from .survey import features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def collect() -> dict[str, Any]:
    """Return what the report says, as plain values."""
    return {
        "version": __version__,
        "platform": platform.platform(),
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
        "features": {name: dict(row._asdict()) for name, row in features().items()},
    }


def as_json() -> str:
    """Return the report as JSON."""
    return json.dumps(collect(), indent=2)


def as_table() -> str:
    """Return the report as text: a line for each capability."""
    report = collect()
    lines = [f"{name:12} {report[name]}" for name in ("version", "platform", "interpreter")]
    lines += ["", f"{'capability':24} {'declared':9} {'supported':24} what it is"]
    for name, row in report["features"].items():
        declared = "yes" if row["declared"] else "no"
        supported = "yes" if row["supported"] else f"no ({row['reason']})"
        lines.append(f"{name:24} {declared:9} {supported:24} {row['description']}")
    return "\n".join(lines)


def run(json_wanted: bool) -> int:
    """Print the report and return the exit status (int)."""
    try:
        text = as_json() if json_wanted else as_table()
    except OSError as problem:
        return complain(PROGRAM, problem)
    return print_lines(PROGRAM, [text])
