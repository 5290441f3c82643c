"""The house rules that a machine can check, on the source of the installed package.

To add a module, give it a rank in LAYERS. To let one touch C memory, add it to IMPORT_LIB, which
is the whole truth about that.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import support

import uds_cffi

# A module imports from lower ranks only, so there are no cycles either. What `if TYPE_CHECKING`
# guards never runs and is free.
LAYERS = {
    # What C offers, and what needs nothing.
    "_lib": 0,
    "cut": 1,
    "errors": 1,
    "vectors": 1,
    "unbatched": 1,
    "printing": 1,
    "pools": 1,
    "values": 1,
    # Typed calls, and what is made of them alone.
    "calls": 2,
    "capabilities": 2,
    "address": 3,
    "flags": 3,
    "owner": 3,
    "received": 3,
    "results": 3,
    "naming": 4,
    "places": 4,
    "constructors": 1,
    "once": 1,
    "runtime": 4,
    "sockdiag": 3,
    "metadata": 3,
    "waiting": 3,
    "fd": 4,
    "optionrows": 4,
    "outofband": 4,
    "probing": 4,
    "fileprobes": 5,
    "processprobes": 5,
    "probes": 6,
    "survey": 7,
    "fds": 5,
    # Messages and what they carry.
    "bound": 5,
    "credentials": 5,
    "pidfd": 5,
    "message": 5,
    "options": 5,
    "streamfile": 6,
    "batchmemory": 10,
    "frames": 10,
    "framesending": 11,
    "control": 6,
    "identity": 8,
    "permissions": 5,
    "locks": 5,
    "aside": 5,
    "stale": 6,
    "socketfile": 7,
    "publishing": 10,
    "receiver": 9,
    "ancillary": 9,
    "batch": 11,
    # What all sockets share, then what some share.
    "base": 9,
    "connected": 10,
    "listener": 10,
    "batching": 12,
    "sending": 11,
    "receiving": 12,
    "sendingall": 12,
    "packet": 13,
    # The sockets, the package, and its programs.
    "datagram": 14,
    "seqpacket": 14,
    "stream": 14,
    "activation": 15,
    "notification": 15,
    "framed": 15,
    "diagnostics": 15,
    "__init__": 16,
    "demo": 17,
    "listing": 17,
    "report": 17,
    "__main__": 18,
}

# Only these hold C memory. The package itself only re-exports `ffi` and `lib`.
IMPORT_LIB = {
    "__init__",
    "address",
    "ancillary",
    "batchmemory",
    "calls",
    "capabilities",
    "control",
    "cut",
    "fileprobes",
    "frames",
    "message",
    "metadata",
    "naming",
    "pidfd",
    "places",
    "probes",
    "probing",
    "processprobes",
    "receiver",
    "sockdiag",
}

# The compiler knows the platform; Python asks the capability table.
PLATFORM_TESTS = {
    ("os", "name"),
    ("os", "uname"),
    ("platform", "machine"),
    ("platform", "release"),
    ("platform", "system"),
    ("platform", "uname"),
    ("sys", "getwindowsversion"),
    ("sys", "platform"),
    ("sysconfig", "get_platform"),
}

# Functions that import at each call: one runs once, the other keeps the answer for which it imports.
IMPORTING_FUNCTIONS = {("__main__", "main"), ("socketfile", "_kernel_applies_mode")}

LONGEST_FILE = 400

PACKAGE = Path(uds_cffi.__file__).parent
TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8"), path.name) for path in sorted(PACKAGE.glob("*.py"))}
MODULES = sorted(TREES)


class Import(NamedTuple):
    imported: str
    line: int


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield each node that can run."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from nodes(other)
        else:
            yield child
            yield from nodes(child)


def is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING"


def imports_of(module: str) -> list[Import]:
    """Return what a module imports from the package, wherever in the module it does so."""
    found = []
    for node in nodes(TREES[module]):
        if isinstance(node, ast.Import):
            for name in node.names:
                package, _, inner = name.name.partition(".")
                if package == "uds_cffi":
                    found.append(Import(inner or "__init__", node.lineno))
        elif isinstance(node, ast.ImportFrom):
            package, _, inner = (node.module or "").partition(".")
            if node.level == 1:
                inner = node.module or ""
            elif package != "uds_cffi":
                continue
            # `from . import calls` names modules; `from . import OwnedFd` names the package's own.
            names = [inner] if inner else [n.name if n.name in LAYERS else "__init__" for n in node.names]
            found += [Import(name, node.lineno) for name in names]
    return found


def attributes(module: str) -> Iterator[tuple[str, str, int]]:
    """Yield every `name.attribute` of a module, also in the form `from name import attribute`."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for name in node.names:
                yield node.module or "", name.name, node.lineno


def test_every_module_has_a_rank():
    """The table of layers names exactly the modules that exist."""
    assert set(TREES) | {"_lib"} == set(LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    """A module imports from lower layers only, also inside of its functions."""
    wrong = [
        f"line {line} imports {imported}" for imported, line in imports_of(module) if LAYERS[imported] >= LAYERS[module]
    ]

    assert wrong == []


def test_imports_inside_functions_are_kept():
    """A function that imports something is one that `once` calls a single time; the rest cost time, and a lock."""
    importing = {
        (module, function.name)
        for module in MODULES
        for function in ast.walk(TREES[module])
        if isinstance(function, ast.FunctionDef)
        and any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes(function))
        and [getattr(decorator, "id", None) for decorator in function.decorator_list] != ["once"]
    }

    assert importing == IMPORTING_FUNCTIONS


def test_only_rooms_with_c_memory_import_lib():
    """The compiled module is imported by exactly the modules in the list."""
    importers = {m for m in MODULES if any(i.imported == "_lib" for i in imports_of(m))}

    assert importers == IMPORT_LIB


@pytest.mark.parametrize("module", MODULES)
def test_no_platform_is_tested_in_python(module):
    """No module asks for the name of the system, the machine or the kernel."""
    found = [f"line {at}: {a}.{b}" for a, b, at in attributes(module) if (a, b) in PLATFORM_TESTS]

    assert found == []


@pytest.mark.parametrize("module", MODULES)
def test_errno_is_never_read_late(module):
    """No module reads `ffi.errno`, which a signal handler may have overwritten."""
    found = [f"line {at}" for a, b, at in attributes(module) if (a, b) == ("ffi", "errno")]

    assert found == []


def python_files() -> list[Path]:
    programs = [path for name in ("benchmarks", "tools") for path in sorted((support.ROOT / name).rglob("*.py"))]
    beside = [support.ROOT / "build_ffi.py", support.ROOT / "setup.py"]
    return [*PACKAGE.glob("*.py"), *sorted((support.ROOT / "tests").rglob("*.py")), *programs, *beside]


@pytest.mark.parametrize("path", python_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_are_short(path):
    """No Python file is longer than a reader can hold in mind."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_public_names_exist():
    """`__all__` names nothing twice, and each name is there. The linter keeps its order."""
    assert sorted(uds_cffi.__all__) == sorted(set(uds_cffi.__all__))
    assert [name for name in uds_cffi.__all__ if not hasattr(uds_cffi, name)] == []


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield what `__all__` names, and what a public module has of its own."""
    for name in uds_cffi.__all__:
        thing = getattr(uds_cffi, name)
        yield name, thing
        if inspect.ismodule(thing):
            for inner, member in vars(thing).items():
                if getattr(member, "__module__", None) == thing.__name__ and not inner.startswith("_"):
                    yield f"{name}.{inner}", member


def public_things() -> Iterator[tuple[str, object]]:
    """Yield every public class and function, and every public method of the classes."""
    for name, thing in public_names():
        if inspect.isclass(thing):
            yield name, thing
            for base in thing.__mro__:
                if base.__module__.startswith("uds_cffi"):
                    for inner, member in vars(base).items():
                        member = getattr(member, "__func__", member)
                        described = inspect.isfunction(member) or isinstance(member, property)
                        if described and not inner.startswith("_"):
                            yield f"{name}.{inner}", getattr(thing, inner)
        elif inspect.isfunction(thing):
            yield name, thing


def test_public_things_are_documented():
    """Every public class, function, method and property says what it is."""
    silent = {name for name, thing in public_things() if not inspect.getdoc(thing)}

    assert silent == set()


def test_public_things_name_their_public_home():
    """A public class or function can be pickled and found under its module and name."""
    lost = [
        name
        for name, thing in public_things()
        if "." not in name and getattr(importlib.import_module(thing.__module__), thing.__name__, None) is not thing
    ]

    assert lost == []
