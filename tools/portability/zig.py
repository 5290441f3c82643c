"""Run the cross compiler, which brings each system's headers and the names in its C library.

It is the package `ziglang` on PyPI: clang, lld, and the headers of Linux, macOS and the BSDs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tools.commands import Failure

HERE = Path(__file__).parent

# Longer than any step takes; only one that hangs reaches it.
PATIENCE = 300.0


def program() -> Path:
    """Return the compiler's program.

    Raises:
        Failure: The package is not installed.
    """
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        raise Failure(f"the package ziglang is missing: {sys.executable} -m pip install ziglang")
    return Path(package.origin).with_name("zig")


class Zig:
    """The compiler, with a folder for what it writes.

    Args:
        work: A folder of ours, made if it is missing. The compiler's cache in it makes a second run faster.

    Raises:
        Failure: Something that is needed here is not installed.
    """

    def __init__(self, work: Path) -> None:
        self._program = program()
        self.work = work
        self.headers = work / "headers"
        cache = str(work / "zig-cache")
        self._environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": cache, "ZIG_GLOBAL_CACHE_DIR": cache}
        self._copy_headers()

    def _copy_headers(self) -> None:
        # The interpreter's own pyconfig.h describes this machine, and hides what other systems have.
        python = Path(sysconfig.get_path("include"))
        if not (python / "Python.h").is_file():
            raise Failure(f"the headers of this Python are missing: {python / 'Python.h'}")
        shutil.rmtree(self.headers, ignore_errors=True)
        shutil.copytree(python, self.headers, ignore=shutil.ignore_patterns("pyconfig.h"))
        shutil.copy(HERE / "pyconfig.h", self.headers)

    def version(self) -> str:
        """Return the compiler's version."""
        return self._run("version").stdout.strip()

    def compile(self, triple: str, source: Path, out: Path, *flags: str) -> str:
        """Compile one file of C for a system and return what the compiler says, which is nothing if all is well."""
        # Without optimizing, which finds nothing more and takes three times as long; and without what this compiler
        # adds by itself.
        plain = ["-O0", "-g0", "-fno-sanitize=all", "-fno-stack-protector", "-std=gnu11", "-Werror"]
        place = ["-isystem", str(self.headers), str(source), "-o", str(out)]
        return self._cc(triple, "-c", "-fPIC", *plain, *flags, *place)

    def link(self, triple: str, out: Path, *objects: Path) -> str:
        """Link with the system's C library, and nothing else, and forbid what is defined nowhere."""
        strict = "-Wl,-undefined,error" if triple.endswith("macos") else "-Wl,-z,defs,--fatal-warnings"
        # Without the word, this compiler takes musl's whole library into the module.
        dynamic = ["-dynamic"] if "musl" in triple else []
        # Without the compiler's own library: it takes half a minute to build, and stub.c says what is from there.
        flags = ["-shared", "-nostdlib", "-lc", strict, *dynamic]
        return self._cc(triple, *flags, *map(str, objects), "-o", str(out))

    def extension(self, triple: str, source: Path, out: Path, macros: Iterable[tuple[str, str]]) -> str:
        """Compile and link a module for Python there, to be run, and return what the compiler says."""
        plain = ["-O2", "-g0", "-fno-sanitize=all", "-fno-stack-protector", "-std=gnu11"]
        # The functions of the compiler's own library, which takes half a minute to build, are in the C library too,
        # but for 32-bit ARM; and on 64 bits its atomic operations need none.
        alone = [] if triple.startswith("arm") else ["-nostdlib", "-lc"]
        inline = ["-mno-outline-atomics"] if triple.startswith("aarch64") else []
        place = ["-isystem", str(self.headers), str(source), "-o", str(out)]
        return self._cc(
            triple,
            "-shared",
            "-fPIC",
            *plain,
            *inline,
            *(f"-D{name}={value}" for name, value in macros),
            *place,
            *alone,
        )

    def _cc(self, triple: str, *arguments: str) -> str:
        done = self._run("cc", "-target", triple, "-Wno-unused-command-line-argument", *arguments)
        if done.returncode == 0:
            # What it says then is about files of its own: every warning about ours is an error.
            return ""
        return done.stderr or f"the compiler exited with {done.returncode} and said nothing"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
