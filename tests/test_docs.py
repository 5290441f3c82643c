"""The documentation: every block of Python in it runs, and its tables say what the code says.

Rules:
- A ```python block is a whole program.  It runs in an empty folder with a short name, and prints exactly what the
  ```text block behind it shows; without one it prints nothing.
- ``<!-- needs: feature, feature -->`` above a block names what it cannot run without, and nothing that it can.
- What is public is documented: each name, each method, each option, each feature.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import support

import uds_cffi
from uds_cffi.optionrows import ROWS_BY_NAME
from uds_cffi.options import describe_options

DOCS = support.ROOT / "docs"
FILES = sorted([support.ROOT / "README.md", *DOCS.glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: ([a-z_, ]+) -->\n\Z")


class Block(NamedTuple):
    """A block of Python, and what it prints."""

    place: str
    code: str
    output: str
    needs: list[str]


def blocks() -> list[Block]:
    found = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        fences = list(FENCE.finditer(text))
        for fence, following in zip(fences, [*fences[1:], None]):
            if fence.group(1) != "python":
                continue
            needs = NEEDS.search(text[: fence.start()])
            shown = ""
            if following and following.group(1) == "text" and not text[fence.end() : following.start()].strip():
                shown = support.in_local_words(following.group(2))
            line = text.count("\n", 0, fence.start()) + 1
            names = needs.group(1).split(", ") if needs else []
            found.append(Block(f"{path.name}:{line}", fence.group(2), shown, names))
    return found


BLOCKS = blocks()


@pytest.fixture
def empty_folder(short_dir):
    """Work in an empty folder with a short name."""
    before = os.getcwd()
    os.chdir(short_dir)
    yield
    os.chdir(before)


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=block.place, marks=[support.needs(name) for name in block.needs]) for block in BLOCKS],
)
@pytest.mark.usefixtures("empty_folder")
def test_block_runs_and_prints_what_is_shown(block):
    """The block runs as it stands, prints what is written behind it, and leaves nothing open."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.code, block.place, "exec"), {"__name__": "__main__"})

    assert printed.getvalue() == block.output


@pytest.mark.parametrize(
    ("block", "name"),
    [
        pytest.param(block, name, id=f"{block.place}-{name}", marks=support.lacks(name))
        for block in BLOCKS
        for name in block.needs
    ],
)
def test_block_needs_what_it_is_marked_with(block, name, short_dir):
    """Without the feature the block does something else than what is shown: only such blocks are skipped."""
    try:
        printed = support.python("-W", "ignore", "-c", block.code, cwd=short_dir)
    except AssertionError:
        printed = "it ended in an exception"

    assert printed != block.output


def test_marks_name_features():
    """Each mark above a block names a row of the capability table, and is of the form that is read here."""
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    marked = [block for block in BLOCKS if block.needs]

    assert {name for block in marked for name in block.needs} <= set(uds_cffi.features())
    assert text.count("<!--") == len(marked)


def rows(page: str) -> list[list[str]]:
    """Return the cells of each row of the table whose columns begin with Name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = text[text.index("| Name |") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def described(page: str) -> dict[str, str]:
    """Return the last cell of each row, by the name in its first."""
    return {row[0].strip("`"): row[-1] for row in rows(page)}


def test_options_page_has_the_options():
    """The page about options has one row for each option, in the words of the code."""
    assert described("options.md") == {name: " ".join(text.split()) for name, text in describe_options().items()}


def test_options_page_has_the_table():
    """Each cell of the page about options is what the row in the code says."""
    expected = [
        [
            f"`{row.name}`",
            row.label,
            row.value,
            row.access,
            ", ".join(row.sockets),
            row.since,
            " ".join(row.description.split()),
        ]
        for row in ROWS_BY_NAME.values()
    ]

    assert rows("options.md") == expected


def test_features_page_has_the_features():
    """The page about features has one row for each capability, in the words of the code."""
    assert described("features.md") == {name: row.description for name, row in uds_cffi.features().items()}


def public_members() -> list[str]:
    """Return the names of everything public: ``Class.member`` for the members of classes."""
    names = []
    for name in uds_cffi.__all__:
        value = getattr(uds_cffi, name)
        names.append(name)
        if inspect.isclass(value) and not issubclass(value, (tuple, uds_cffi.Options)):
            members = {**vars(value)}
            for base in value.__mro__:
                if base.__module__.startswith("uds_cffi"):
                    members.update(vars(base))
            names += [f"{name}.{member}" for member in members if not member.startswith("_")]
    return sorted(names)


def test_everything_public_is_documented():
    """Each public name, and each method and attribute of a public class, is written as code on some page."""
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    code = "\n".join(re.findall(r"`[^`\n]+`", FENCE.sub("", text)))
    words = set(re.findall(r"\w+", code))

    assert [name for name in public_members() if name.rpartition(".")[2] not in words] == []


def anchors(path: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*FILES, support.ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Each link to a file of the project, and to a heading in it, has its target."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https:"):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name) if name else path

        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def test_every_page_is_linked():
    """The README leads to every page, and the overview to every page and every example."""
    readme = (support.ROOT / "README.md").read_text(encoding="utf-8")
    overview = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [path.name for path in DOCS.glob("*.md")]
    examples = [path.name for path in (support.ROOT / "examples").glob("*.py")]

    assert [name for name in pages if f"(docs/{name})" not in readme] == []
    assert [name for name in pages if f"({name})" not in overview and name != "index.md"] == []
    assert [name for name in examples if f"(../examples/{name})" not in overview] == []


def test_changelog_has_one_sentence_per_line():
    """Each entry of the changelog is one sentence on one line, below a heading of Keep a Changelog."""
    lines = (support.ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line.startswith("- ")]

    assert "## [Unreleased]" in lines
    assert entries
    assert [line for line in entries if not line.endswith(".") or re.search(r"[.!?] [A-Z]", line)] == []
    assert [line for line in lines if line.startswith((" ", "\t"))] == []
