"""The report: the same rows as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform

import pytest

import uds_cffi
from uds_cffi import features, report


def test_report_has_the_rows():
    """The report has version, platform, interpreter, and each row of the table as plain values."""
    collected = report.collect()
    assert collected == {
        "version": uds_cffi.__version__,
        "platform": platform.platform(),
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
        "features": {name: row._asdict() for name, row in features().items()},
    }
    assert all(type(row) is dict for row in collected["features"].values())


def test_json_is_the_report():
    """The JSON is the report, and nothing else."""
    assert json.loads(report.as_json()) == report.collect()


def test_table_has_a_line_for_each_row():
    """The table says for each capability whether it is declared and supported, why not, and what it is."""
    lines = report.as_table().splitlines()
    assert lines[0].split() == ["version", uds_cffi.__version__]
    assert lines[1] == f"platform     {platform.platform()}"
    assert lines[2] == f"interpreter  {platform.python_implementation()} {platform.python_version()}"
    assert lines[3] == ""
    assert lines[4].split() == ["capability", "declared", "supported", "what", "it", "is"]
    rows = features()
    assert [line.split()[0] for line in lines[5:]] == list(rows)
    for line, row in zip(lines[5:], rows.values()):
        assert line.endswith(row.description)


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (("x", True, True, "", "What."), ["x", "yes", "yes", "What."]),
        (("x", True, False, "kernel", "What."), ["x", "yes", "no (kernel)", "What."]),
        (("x", True, False, "no security module", "What."), ["x", "yes", "no (no security module)", "What."]),
        (("x", False, False, "not built", "What."), ["x", "no", "no (not built)", "What."]),
    ],
)
def test_columns(row, shown, monkeypatch):
    """The columns say yes or no, with the reason, and line up with their headings."""
    monkeypatch.setattr(report, "features", lambda: {"x": uds_cffi.Feature(*row)})
    heading, line = report.as_table().splitlines()[-2:]
    starts = [heading.index(word) for word in ("capability", "declared", "supported", "what it is")]
    cells = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None])]
    assert cells == shown
