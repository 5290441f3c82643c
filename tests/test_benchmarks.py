"""The benchmarks' own arithmetic, command line and reports; that the operations work is in test_benchmarks_operations.

Rule: no test asserts a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import benchmarking  # noqa: F401 - it makes the next imports possible.
import pytest
import support

from benchmarks import command, figures, machine, plot, report
from benchmarks.figures import Spread, change, ratio, spread
from benchmarks.isolate import ChildError, isolated
from benchmarks.measure import Measured, Settings, WrongResult, measure, measure_apart
from benchmarks.operation import OPERATIONS, SCALING, Operation, Trial, lacks_feature, register

TINY = Settings(repeats=3, slice_seconds=1e-5, warm_seconds=0.0, warm_rounds=1, longest_warm=0.001)

NAME = "stream send+recv 64 B exact"


@pytest.fixture
def tiny(monkeypatch):
    """Let the command line measure so little that it takes no time."""
    monkeypatch.setattr(command, "QUICK", TINY)


def test_spread_is_median_and_quartiles():
    """The quartiles are those of the numbers themselves, interpolated between neighbours."""
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([1.0, 2.0, 3.0, 4.0]) == Spread(2.5, 1.75, 3.25)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_spread_of_nothing_is_refused():
    """Without a measurement there is no median."""
    with pytest.raises(ValueError, match="no measurements"):
        spread([])


def test_ratio_is_taken_within_each_repeat():
    """A repeat in which everything was slow counts like any other."""
    assert ratio([2.0, 200.0, 2.0], [1.0, 100.0, 1.0]) == Spread(2.0, 2.0, 2.0)


def test_ratio_needs_the_same_repeats():
    """Slices of different repeats are not compared."""
    with pytest.raises(ValueError, match="2 repeats of one and 1 of the other"):
        ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("high", "noisy"), [(1.09, False), (1.11, True)])
def test_noise_is_the_distance_of_the_quartiles(high, noisy):
    """A row is noisy when its quartiles are more than the stated share of the median apart."""
    assert figures.NOISE_LIMIT == 0.10
    assert Spread(1.0, 1.0, high).noisy == noisy


@pytest.mark.parametrize(
    ("now", "real"),
    [
        (Spread(1.2, 1.15, 1.25), True),
        (Spread(1.2, 1.0, 1.25), False),
        (Spread(0.8, 0.7, 0.89), True),
        (Spread(1.04, 1.03, 1.05), False),
    ],
)
def test_change_is_more_than_noise(now, real):
    """Two ratios whose quartiles overlap, or that differ as two runs do, may be the same ratio."""
    factor, verdict = change(Spread(1.0, 0.98, 1.02), now)

    assert factor == pytest.approx(now.median)
    assert verdict == real


def counting(**ways):
    return Operation("counting", "test", lambda stack: Trial(ways, "done"))


def test_each_way_has_one_figure_per_repeat():
    """Every repeat measures every way once."""
    measured = measure(counting(ours=lambda rounds: "done", stdlib=lambda rounds: "done"), TINY)

    assert {name: len(values) for name, values in measured.figures.items()} == {"ours": 3, "stdlib": 3}


def test_repeats_are_divided_over_processes():
    """Where results differ from process to process, each of several measures its share."""
    several = Operation("several", "test", lambda stack: Trial({"ours": lambda rounds: None}), processes=3)
    measured = measure_apart(several, replace(TINY, repeats=7))

    assert len(measured.figures["ours"]) == 6


def test_own_figures_are_taken_as_they_are():
    """An operation that is not timed says its figure itself, and caps the repeats."""
    own = Operation("own", "test", lambda stack: Trial({"ours": lambda rounds: 42.0}), unit="B", most_repeats=2)

    assert measure(own, TINY).figures == {"ours": [42.0, 42.0]}


def test_wrong_result_is_an_error():
    """A way that does not receive what was sent is never measured."""
    with pytest.raises(WrongResult, match="stdlib returned 'nothing' and not 'done'"):
        measure(counting(ours=lambda rounds: "done", stdlib=lambda rounds: "nothing"), TINY)


def test_isolated_returns_what_the_child_made():
    """A result comes back from the process that made it."""
    assert isolated(lambda number: [number, "text"], 5) == [5, "text"]


def test_isolated_raises_what_the_child_raised():
    """An exception in the child is told in the parent, with its traceback."""
    with pytest.raises(ChildError, match="ZeroDivisionError"):
        isolated(lambda: 1 // 0)


def test_isolated_tells_of_a_killed_child():
    """A child that dies without a word is reported."""
    with pytest.raises(ChildError, match="killed by signal 9"):
        isolated(lambda: os.kill(os.getpid(), 9))


def test_two_operations_have_two_names():
    """A name that is taken is refused."""
    with pytest.raises(ValueError, match="already"):
        register(OPERATIONS[NAME])


@pytest.mark.parametrize("feature", ["seqpacket", "credentials", "abstract_addresses"])
def test_absent_feature_is_the_reason(feature):
    """An operation that needs a feature can be measured exactly where the feature is supported."""
    assert lacks_feature(feature)() == (None if support.supported(feature) else f"feature {feature} is absent")


def test_list_names_all_operations(capsys):
    """``--list`` prints each name and measures nothing."""
    assert command.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in OPERATIONS if f"  {name}" not in printed] == []


def test_list_says_what_is_missing(capsys, monkeypatch):
    """``--list`` gives the reason why an operation cannot be measured here."""
    monkeypatch.setitem(
        OPERATIONS, "new", Operation("new", "test", lambda stack: Trial({}), lambda: "it is not written yet")
    )
    assert command.main(["--list", "--only", "new"]) == 0
    assert "  new  (not here: it is not written yet)\n" in capsys.readouterr().out


@pytest.mark.parametrize("patterns", [["stream send+recv 64 b EXACT"], ["stream*64 B exact"], ["exact", "*exact"]])
def test_only_takes_parts_and_patterns(patterns):
    """An operation is chosen by a part of its name or a pattern, in any case, and once."""
    names = [operation.name for operation in command.chosen(patterns)]

    assert NAME in names
    assert len(set(names)) == len(names)
    assert all("exact" in name for name in names)


def test_unknown_name_is_refused_with_the_names(capsys):
    """``--only`` with a name that there is not is a wrong command line, and the names are listed."""
    assert command.main(["--only", "stream", "--only", "no such thing"]) == 2
    error = capsys.readouterr().err
    assert "'no such thing'" in error
    assert f"  {NAME}\n" in error


@pytest.mark.usefixtures("tiny")
def test_table_is_printed(capsys):
    """The table names the operation, its columns, and how noisy the machine was."""
    assert command.main(["--quick", "--only", NAME]) == 0
    printed = capsys.readouterr().out
    assert "x (quartiles)" in printed
    assert NAME in printed
    assert "TOO NOISY" in printed or "Quiet enough" in printed


@pytest.mark.usefixtures("tiny")
def test_json_is_read_again(tmp_path, capsys):
    """A report that was written is what ``--against`` compares with."""
    path = tmp_path / "report.json"
    assert command.main(["--quick", "--only", NAME, "--json", str(path)]) == 0
    written = report.read(path)
    assert [row["name"] for row in written["results"]] == [NAME]
    assert set(written["results"][0]["figures"]) == {"ours", "stdlib", "bare", "floor"}
    assert written["head"]["interpreter"] in capsys.readouterr().out

    assert command.main(["--quick", "--only", NAME, "--against", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "before, change" in printed
    assert f"before: {written['head']['date']}" in printed


@pytest.mark.usefixtures("tiny")
def test_json_without_a_path_is_printed(capsys):
    """``--json`` alone prints nothing but the report."""
    assert command.main(["--quick", "--only", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == report.FORMAT


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is no JSON"), ("[]", "is no report"), ('{"format": 0}', "is no report")]
)
def test_against_refuses_other_files(tmp_path, capsys, content, message):
    """A file that is no report is refused before anything is measured."""
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    assert command.main(["--against", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_against_names_a_missing_file(tmp_path, capsys):
    """A report that is not there is an error with its path."""
    assert command.main(["--against", str(tmp_path / "absent.json")]) == 2
    assert "absent.json: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_missing_folder_is_said_at_once(tmp_path, capsys, option):
    """A path that cannot be written is refused before anything is measured."""
    assert command.main([option, str(tmp_path / "absent" / "file.png")]) == 2
    assert "there is no folder for" in capsys.readouterr().err


def test_plot_without_matplotlib_says_so(tmp_path, capsys, monkeypatch):
    """Without matplotlib ``--plot`` is refused before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command.main(["--plot", str(tmp_path / "picture.png")]) == 2
    assert "--plot needs matplotlib" in capsys.readouterr().err


def row_of(x: list[float], **changes):
    made = report.summary(
        Operation("something", "test", lambda stack: Trial({})),
        Measured({"ours": [1.0] * len(x), "stdlib": x, "floor": [0.5] * len(x)}, ["a note"]),
    )
    return {**made, **changes}


def report_of(*rows):
    head = {**machine.describe(), "cffi_backend": "not optimised"}
    return {"format": report.FORMAT, "head": head, "load": 0.5, "results": list(rows), "missing": {"other": "why"}}


def test_summary_has_the_three_ratios():
    """A row has the baseline by ours, the baseline by the floor, and ours by the floor."""
    row = row_of([1.5, 1.5, 1.5])

    assert (row["x"]["median"], row["limit"]["median"], row["over"]["median"]) == (1.5, 3.0, 2.0)
    assert row["noisy"] is False


def test_bare_calls_are_compared_with_the_standard_library():
    """A way of bare calls stands in a column of its own, as the standard library's time by its time."""
    made = report.summary(
        Operation("something", "test", lambda stack: Trial({})),
        Measured({"ours": [1.0], "stdlib": [1.5], "bare": [0.75]}, []),
    )

    assert made["cffi"]["median"] == 2.0
    lines = report.table(report_of(made)).splitlines()
    (title,) = [line for line in lines if line.startswith("operation")]
    (row,) = [line for line in lines if line.startswith("something")]
    assert row[: title.index("cffi") + len("cffi")].endswith("2.00")


def test_table_warns_of_noise_and_of_cffi():
    """Noisy rows, an unoptimised cffi, notes and what was not measured are all said."""
    text = report.table(report_of(row_of([1.0, 2.0, 3.0])))

    assert "something ~ " in text
    assert "TOO NOISY: 1 of 1 rows" in text
    assert "compiled without optimisation" in text
    assert "    a note\n" in text
    assert "not measured: other: why" in text


def test_comparison_names_what_changed():
    """A ratio that moved by more than the quartiles is called faster or slower."""
    old, new = report_of(row_of([1.0] * 3)), report_of(row_of([1.5] * 3))

    assert "1.00, +50 % faster" in report.table(new, old)
    assert "1.50, -33 % slower" in report.table(old, new)
    assert "1.00, +0 %\n" in report.table(old, old)


def test_picture_is_drawn(tmp_path):
    """With matplotlib there is a picture."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "picture.svg"
    # In a child: matplotlib keeps its fonts open.
    isolated(plot.draw, report_of(row_of([1.0, 1.1, 1.2])), path)

    assert "something" in path.read_text(encoding="utf-8")


FUNCTIONS = "\n".join(f"int f{n}(int a, int *b) {{ return *b + a * {n}; }}" for n in range(200))


@pytest.mark.parametrize(
    ("options", "verdict"),
    [(["-O0"], "not optimised"), (["-O2"], "optimised"), (["-O2", "-fno-omit-frame-pointer"], "optimised")],
)
def test_unoptimised_code_is_recognised(tmp_path, options, verdict):
    """Code that was compiled without optimisation is told from other code, also from such with frame pointers."""
    source, library = tmp_path / "many.c", tmp_path / "many.so"
    source.write_text(FUNCTIONS, encoding="utf-8")
    subprocess.run(["cc", *options, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    expected = verdict if machine.describe()["machine"] == "x86_64" else "unknown"

    assert machine.optimisation_of(library) == expected


def test_unknown_code_is_called_unknown(tmp_path):
    """Nothing is claimed of a file that is no ELF library or that is not there."""
    path = tmp_path / "text"
    path.write_text("no code", encoding="utf-8")

    assert machine.optimisation_of(path) == "unknown"
    assert machine.optimisation_of(tmp_path / "absent") == "unknown"


def started(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=support.ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_checkout_measures_the_installed_package():
    """``python -m benchmarks`` in a checkout finds the installed package, not the sources beside it."""
    done = started("-m", "benchmarks", "--list")

    assert (done.returncode, done.stderr) == (0, "")
    assert NAME in done.stdout


def test_sources_are_not_taken_for_the_package():
    """Where the package is not installed, the program says so, although its sources lie beside it."""
    done = started("-S", "-m", "benchmarks", "--list")

    assert done.returncode == 1
    assert "No module named 'uds_cffi'" in done.stderr
    assert "pip install" in done.stderr


def test_starting_the_folder_says_how_to_start():
    """``python benchmarks`` is answered with the right command."""
    done = started("benchmarks", "--list")

    assert done.returncode == 2
    assert "python -m benchmarks" in done.stderr


def test_head_survives_a_silent_system(monkeypatch):
    """What the system does not say is unknown, and no error."""
    monkeypatch.delattr(os, "getloadavg")

    assert machine.load() is None


def test_control_is_shown():
    """Where the baseline was measured twice, the table says how far the two are apart."""
    measured = Measured({"ours": [1.0], "stdlib": [2.0], "control": [1.6]}, [])
    row = report.summary(Operation("something", "test", lambda stack: Trial({})), measured)

    assert "    control, the standard library once more: 1.25 (1.25-1.25)\n" in report.table(report_of(row))


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(1.5, "ours no more than the standard library's"), (1.0, "ours more than the standard library's")],
)
def test_growth_is_compared(last, verdict):
    """The table says how the cost of a message grew with the connections, and whether ours grew more."""
    rows = [row_of([x] * 3, name=name, group=SCALING) for name, x in (("1 connection", 1.5), ("many", last))]
    text = report.table(report_of(*rows))

    assert "from 1 connection to many the cost of a message grew: ours +0 %, stdlib" in text
    assert verdict in text
