"""What is shipped: the source distribution, the wheel, and the commands that people copy."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
import support

import uds_cffi

PACKAGE = Path(uds_cffi.__file__).parent

# A test of a fact about this interpreter's kind, not about a feature.
IS_CPYTHON = sys.implementation.name == "cpython"
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# What belongs to the project; a working tree may hold environments and builds beside it.
PROJECT = (
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "MANIFEST.in",
    "README.md",
    "benchmarks",
    "build_ffi.py",
    "declarations",
    "docs",
    "examples",
    "pyproject.toml",
    "setup.py",
    "tests",
    "tools",
    "tox.ini",
    "uds_cffi",
)

# For git alone.
NOT_SHIPPED = {".gitignore"}

LEAVINGS = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.egg-info", "_lib.c")


def test_test_command_is_the_readmes():
    """The continuous integration runs the README's test command, word for word."""
    last_line = (support.ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().splitlines()[-1]
    readme = (support.ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert "tox run-parallel" in last_line
    assert last_line in [line.strip() for line in readme]


def test_version_is_the_metadatas():
    """The package and its metadata name the same version."""
    assert uds_cffi.__version__ == importlib.metadata.version("uds-cffi")


@pytest.mark.parametrize("name", ["py.typed", "_lib.pyi"])
def test_types_are_shipped(name):
    """Type checkers find the mark and the stub in the installed package."""
    assert (PACKAGE / name).is_file()


def sources(package: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in package.iterdir() if path.suffix in (".py", ".pyi")}


def test_installation_holds_the_package_alone():
    """Benchmarks, tests and sources of C stay in the source distribution: what is installed is the package."""
    files = importlib.metadata.files("uds-cffi") or []
    folders = {path.parts[0] for path in files if ".." not in path.parts}

    assert {name for name in folders if not name.endswith(".dist-info")} == {"uds_cffi"}


def test_installed_package_is_this_source():
    """What is tested is what lies here, not the leavings of an older build."""
    assert sources(PACKAGE) == sources(support.ROOT / "uds_cffi")


def test_minimal_build_is_the_one_asked_for():
    """The tests run against the minimal library exactly when its environment says so."""
    assert bool(uds_cffi.lib.UDS_MINIMAL_BUILD) == (os.environ.get("UDS_MINIMAL") == "1")


def test_compiled_module_is_named_for_its_interpreters():
    """CPython's module is for every version; that of PyPy or a free-threaded build for its own."""
    serves_all = uds_cffi._lib.__file__.endswith(".abi3.so")

    assert serves_all == (IS_CPYTHON and not IS_FREE_THREADED)


@pytest.mark.parametrize(
    ("implementation", "gil_disabled", "wheel_options"),
    [
        ("cpython", 0, {"bdist_wheel": {"py_limited_api": "cp39"}}),
        ("cpython", None, {"bdist_wheel": {"py_limited_api": "cp39"}}),
        ("cpython", 1, {}),
        ("pypy", None, {}),
    ],
)
def test_wheel_is_tagged_for_its_interpreters(implementation, gil_disabled, wheel_options):
    """Only a CPython with the stable ABI makes a wheel for all later versions."""
    script = f"""
import json, runpy, sys, sysconfig
import setuptools
seen = {{}}
setuptools.setup = lambda **keywords: seen.update(keywords)
sys.implementation.name = {implementation!r}
sysconfig.get_config_var = {{"Py_GIL_DISABLED": {gil_disabled!r}}}.get
runpy.run_path("setup.py")
print(json.dumps(seen))
"""
    seen = json.loads(support.python("-c", script, cwd=support.ROOT))

    assert seen == {"cffi_modules": ["build_ffi.py:ffibuilder"], "options": wheel_options}


def test_running_needs_no_cffi_and_no_parser():
    """The installed package runs where neither cffi's Python part nor pycparser can be imported."""
    out = support.python(
        "-c",
        "import sys\n"
        "sys.modules['cffi'] = sys.modules['pycparser'] = None\n"
        "import uds_cffi\n"
        "print(uds_cffi.ffi.sizeof('struct msghdr') > 0, bool(uds_cffi.features()))",
    )

    assert out == "True True\n"


def test_isolated_mode_runs_the_installed_package():
    """The README's `-I` keeps a checkout's sources from being imported instead."""
    out = support.python("-c", "import uds_cffi; print(uds_cffi.__file__)", cwd=support.ROOT)

    assert Path(out.strip()).parent == PACKAGE


def test_source_distribution_is_complete(tmp_path):
    """The source distribution holds every file of the project, and can be built again."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    for name in PROJECT:
        if (support.ROOT / name).is_dir():
            shutil.copytree(support.ROOT / name, tree / name, ignore=LEAVINGS)
        elif (support.ROOT / name).exists():
            shutil.copy(support.ROOT / name, tree / name)
    wanted = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    support.python(
        "-c",
        f"import setuptools.build_meta as backend; backend.build_sdist({str(out)!r})",
        cwd=tree,
    )
    (archive,) = out.iterdir()
    with tarfile.open(archive) as files:
        packed = {name.partition("/")[2] for name in files.getnames()}

    assert wanted - NOT_SHIPPED - packed == set()
