"""Where a measurement was made: what anyone needs to know who compares two of them.

Rule: nothing here fails.  What cannot be found out is "unknown".
"""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

# A function that was compiled without optimisation on x86-64 sets up a frame and writes its first argument into it at
# once: push %rbp; mov %rsp,%rbp; up to a dozen bytes that make room; mov %rdi or %edi to -n(%rbp).  Optimised code
# does not, also where it keeps frame pointers.
_SPILLS_FIRST_ARGUMENT = re.compile(rb"\x55\x48\x89\xe5.{0,12}?\x48?\x89[\x7d\xbd]", re.DOTALL)

# Of some 500 functions in cffi's backend nearly all look so without optimisation, and none or a few with it.
_MANY = 100

_ELF_X86_64 = re.compile(rb"\x7fELF\x02\x01.{12}\x3e\x00", re.DOTALL)


def optimisation_of(path: Path) -> str:
    """Return "optimised", "not optimised" or "unknown" for a compiled library with hundreds of functions.

    Only the code of x86-64 in ELF files can be judged.
    """
    try:
        code = path.read_bytes()
    except OSError:
        return "unknown"
    if not _ELF_X86_64.match(code):
        return "unknown"
    return "not optimised" if len(_SPILLS_FIRST_ARGUMENT.findall(code)) >= _MANY else "optimised"


def cffi_backend() -> tuple[str, str]:
    """Return the version of cffi's compiled part, and how it was compiled."""
    import _cffi_backend

    spec = importlib.util.find_spec("_cffi_backend")
    if spec is None or spec.origin in (None, "built-in"):
        return _cffi_backend.__version__, "part of the interpreter"
    return _cffi_backend.__version__, optimisation_of(Path(str(spec.origin)))


def processor() -> str:
    """Return the processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine() or "unknown"


def describe() -> dict[str, Any]:
    """Return the head of a report."""
    import uds_cffi

    version, optimisation = cffi_backend()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "interpreter": f"{platform.python_implementation()} {_interpreter_version()}",
        "python": platform.python_version(),
        "uds_cffi": uds_cffi.__version__,
        "cffi": version,
        "cffi_backend": optimisation,
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": processor(),
        "processors": os.cpu_count(),
    }


def _interpreter_version() -> str:
    # PyPy has a version beside that of the language.
    return ".".join(map(str, sys.implementation.version[:3]))


def load() -> float | None:
    """Return how many processes wanted to run during the last minute, or None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None
