"""Free-threaded CPython, and CPython for musl, from PyPI.

The package freeze-core, the base of cx_Freeze, has the interpreter as a program, and its modules in C. Debian has the
modules in Python and the headers, of the same minor version, and no such interpreter. Together with a main function
(`launcher.c`) and a description of how to build modules they make an installation like any other.

Rule: it has the form that the interpreter looks for by itself, so that each option of its command line, virtual
environments, pip and building modules work as on any other.
"""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from pprint import pformat
from zipfile import ZipFile

from .. import debian
from ..commands import Failure, pip, program, run
from . import musl

HERE = Path(__file__).parent

# The folder in which the modules look for their libraries, from where they are themselves.
LIBRARIES = "freeze_core.libs"


def free_threaded(work: Path, version: str) -> Path:
    """Put free-threaded CPython of a minor version, "3.14", into a folder and return its program."""
    return _assembled(work, version, "t", "manylinux2014_x86_64", "gcc", {})


def over_musl(work: Path, version: str, flags: str) -> Path:
    """Put CPython of a minor version for musl into a folder, with musl itself, and return its program.

    Args:
        work: The folder.
        version: As "3.13".
        flags: "t" for a free-threaded one, "" for the other.
    """
    root = work / "root"
    compiler = musl.compiler(work)
    python = _assembled(work, version, flags, "musllinux_1_2_x86_64", str(compiler), musl.settings(compiler))
    musl.supply(work, compiler, root, [root / "lib", root / "lib" / LIBRARIES])
    run(program("patchelf"), "--set-interpreter", root / musl.LOADER, python)
    return python


def _assembled(work: Path, version: str, flags: str, platform: str, compiler: str, settings: dict[str, str]) -> Path:
    """Put an interpreter into the folder `root` of another one and return its program.

    Args:
        work: That other folder.
        version: The minor version.
        flags: What is behind the version in the interpreter's name.
        platform: That of the wheel.
        compiler: Makes programs for the interpreter's C library.
        settings: In which words of its description of a build it is not like Debian's.
    """
    name = f"python{version}{flags}"
    root = work / "root"
    programs, lib = root / "bin", root / "lib" / name
    modules = lib / "lib-dynload"
    interpreter = _download(work, version, f"cp{version.replace('.', '')}{flags}", platform)

    _copy_debians(work / "debian", version, flags, settings, lib, root / "include" / name)
    programs.mkdir()
    modules.mkdir()
    for module in (interpreter / "freeze_core" / "lib").glob("*.so"):
        shutil.copy(module, modules)
    shutil.copytree(interpreter / LIBRARIES, root / "lib" / LIBRARIES)

    launcher = root / "lib" / "launcher.so"
    run(compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", HERE / "launcher.c", "-o", launcher)
    python = programs / name
    shutil.copy(_only(interpreter / "freeze_core" / "bases", "console-cpython-*"), python)
    python.chmod(0o755)
    # It looks for libraries beside its folder already, and asks for this one first.
    run(program("patchelf"), "--add-needed", launcher.name, python)
    return python


def _download(work: Path, version: str, abi: str, platform: str) -> Path:
    """Download freeze-core for an interpreter and return the folder that it is unpacked in."""
    wheels, unpacked = work / "wheels", work / "freeze-core"
    only = ("--no-deps", "--only-binary=:all:", "--implementation", "cp")
    pip(
        "download",
        *only,
        "--python-version",
        version,
        "--abi",
        abi,
        "--platform",
        platform,
        "-d",
        wheels,
        "freeze-core",
    )
    with ZipFile(_only(wheels, "freeze_core-*.whl")) as wheel:
        wheel.extractall(unpacked)
    return unpacked


def _copy_debians(unpacked: Path, version: str, flags: str, settings: dict[str, str], lib: Path, include: Path) -> None:
    """Take from Debian the modules in Python, the headers, and the description of a build."""
    packages = [f"libpython{version}-{part}" for part in ("minimal", "stdlib", "dev")]
    debian.extract(packages, unpacked, suite="sid", architecture="amd64")
    usr = unpacked / "usr"
    theirs = usr / "lib" / f"python{version}"
    # What is for another build; and a link to Debian's settings.
    others = ("lib-dynload", "config-*", "_sysconfig*__*", "sitecustomize.py")
    shutil.copytree(theirs, lib, ignore=shutil.ignore_patterns(*others))
    shutil.copytree(usr / "include" / f"python{version}", include)
    # Debian's own chooses among those of several architectures; and the interpreters differ in this one line.
    text = _only(usr / "include", f"*/python{version}/pyconfig.h").read_text(encoding="utf-8")
    undefined = "/* #undef Py_GIL_DISABLED */"
    if undefined not in text:
        raise Failure(f"no line in Debian's pyconfig.h for {version} is {undefined}")
    if flags:
        text = text.replace(undefined, "#define Py_GIL_DISABLED 1")
    (include / "pyconfig.h").write_text(text, encoding="utf-8")
    _describe(_only(theirs, "_sysconfigdata__linux_*.py"), version, flags, settings, lib)


def _describe(theirs: Path, version: str, flags: str, settings: dict[str, str], lib: Path) -> None:
    """Write the module in which sysconfig finds how to build modules for this interpreter."""
    known = runpy.run_path(str(theirs))["build_time_vars"]
    multiarch = settings.get("MULTIARCH", known["MULTIARCH"])
    digits = version.replace(".", "")
    suffixes = (f"cpython-{digits}-{known['MULTIARCH']}", f"cpython-{digits}{flags}-{multiarch}")
    described = {name: value.replace(*suffixes) if isinstance(value, str) else value for name, value in known.items()}
    if flags:
        described |= {"ABIFLAGS": flags, "ABI_THREAD": flags, "LDVERSION": f"{version}{flags}", "Py_GIL_DISABLED": 1}
    described |= settings
    place = lib / f"_sysconfigdata_{flags}_linux_{multiarch}.py"
    place.write_text(f"build_time_vars = {pformat(described)}\n", encoding="utf-8")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Failure(f"{len(found)} files are {folder / pattern}, and not one")
    return found[0]
