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
# PEP 803 gives one to free-threaded builds; cffi uses none in a debug build.
HAS_STABLE_ABI = (
    IS_CPYTHON and not hasattr(sys, "gettotalrefcount") and (not IS_FREE_THREADED or sys.version_info >= (3, 15))
)

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
    script = (support.ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    readme = (support.ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    (command,) = [line for line in script if "tox run-parallel" in line]
    assert command in [line.strip() for line in readme]


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
    """The module is for every later version where there is a stable ABI, and otherwise for its own alone."""
    name = Path(uds_cffi._lib.__file__).name

    assert (".abi3" in name) == HAS_STABLE_ABI


def test_wheel_is_tagged_as_its_module_is_named():
    """What pip goes by when it takes a wheel is what the interpreter goes by when it looks for the module."""
    text = importlib.metadata.distribution("uds-cffi").read_text("WHEEL") or ""
    tags = {tuple(line.partition(": ")[2].split("-")[:2]) for line in text.splitlines() if line.startswith("Tag: ")}
    kind, version, *_ = [*Path(uds_cffi._lib.__file__).name.split(".")[1].split("-"), ""]
    named = {
        # With the name of the system in it, no version before 3.15 finds it.
        "abi3": {("cp315" if version else "cp39", "abi3")},
        "abi3t": {("cp315", "abi3"), ("cp315", "abi3t")},
        "cpython": {(f"cp{version.rstrip('dt')}", f"cp{version}")},
    }

    assert tags == named.get(kind, {(kind.replace("pypy", "pp"), f"{kind}_{version}")})


FOR_ALL = {"bdist_wheel": {"py_limited_api": "cp39"}}
SINCE_315 = {"bdist_wheel": {"py_limited_api": "cp315"}}


@pytest.mark.parametrize(
    ("implementation", "version", "gil_disabled", "suffix", "wheel_options"),
    [
        ("cpython", (3, 9), None, ".abi3.so", FOR_ALL),
        ("cpython", (3, 14), 0, ".abi3.so", FOR_ALL),
        ("cpython", (3, 15), 0, ".abi3.so", FOR_ALL),
        ("cpython", (3, 15), 0, ".abi3-x86_64-linux-gnu.so", SINCE_315),
        # It finds such modules by their name, but they would break it.
        ("cpython", (3, 14), 1, ".abi3.so", {}),
        ("cpython", (3, 15), 1, ".abi3t.so", SINCE_315),
        ("cpython", (3, 15), 1, ".abi3t-x86_64-linux-gnu.so", SINCE_315),
        ("pypy", (3, 11), None, None, {}),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_wheel_is_tagged_for_its_interpreters(implementation, version, gil_disabled, suffix, wheel_options, debug):
    """A CPython with a stable ABI makes a wheel for all versions that have the same, and find its module."""
    script = f"""
import json, runpy, sys, sysconfig
import setuptools
from setuptools.command import build_ext
seen = {{}}
setuptools.setup = lambda **keywords: seen.update(keywords)
sys.implementation.name = {implementation!r}
sys.version_info = {version!r}
if {debug!r}:
    sys.gettotalrefcount = lambda: 0
elif hasattr(sys, "gettotalrefcount"):
    del sys.gettotalrefcount
sysconfig.get_config_var = {{"Py_GIL_DISABLED": {gil_disabled!r}}}.get
build_ext.get_abi3_suffix = lambda: {suffix!r}
runpy.run_path("setup.py")
print(json.dumps(seen))
"""
    seen = json.loads(support.python("-c", script, cwd=support.ROOT))

    assert seen == {"cffi_modules": ["build_ffi.py:ffibuilder"], "options": {} if debug else wheel_options}


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


@pytest.mark.any_interpreter
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
