"""The root of a guest: Debian's Python, the library compiled for its processor, and the tests.

Rule: nothing of a foreign root is run to make it; the packages are unpacked, the extension comes from the cross
compiler, and what the tests need is pure Python.
"""

from __future__ import annotations

import json
import lzma
import shutil
import subprocess
from pathlib import Path

import build_ffi
from tools import debian
from tools.commands import Failure, pip
from tools.portability.check import generate
from tools.portability.zig import Zig

from .namespaces import within
from .selection import KERNEL, PROCESSOR
from .systems import AMD64, GVISOR, MACHINE, UML, Guest, Processor

PROJECT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent

# Hypothesis has had parts in another language since; pip takes the last that is pure Python.
PURE = ("pytest>=8.4", "hypothesis>=6.100")
PACKAGES = ("base-files", "python3", "python3-cffi-backend", "libpython3-stdlib")

# What no test reads, and what would only make an emulated machine start later.
UNUSED = (
    "usr/share",
    "usr/lib/python3.*/ensurepip",
    "usr/lib/python3.*/idlelib",
    "usr/lib/python3.*/lib2to3",
    "var/cache",
)

SITE = "usr/lib/python3/dist-packages"
FOLDER = "project"
PLAN = "guest/plan.json"

# Under emulation, and beside other work, a test may take many times as long.
PATIENCE = 6
SECONDS = 600.0


class Shared:
    """What all roots have: the C and the pure Python packages, made once."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.zig = Zig(work)
        self.source = generate(work)
        self.pure = work / "pure"
        # For the oldest Python of a guest; and as if for another interpreter, so that nothing compiled is taken.
        others = ["--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any", "--python-version=3.11"]
        pip("install", "--quiet", "--target", self.pure, *others, *PURE)


def build(shared: Shared, processor: Processor, root: Path, native: Path | None) -> None:
    """Make a root for a processor, without what is a guest's own.

    Args:
        shared: What all roots have.
        processor: Its processor and release.
        root: Where it will be.
        native: One of the same release for this machine's own processor, if there is one.
    """
    debian.extract(PACKAGES, root, suite=processor.suite, architecture=processor.debian, dependencies=True)
    for pattern in UNUSED:
        for path in root.glob(pattern):
            shutil.rmtree(path)
    site = root / SITE
    shutil.copytree(shared.pure, site, dirs_exist_ok=True)
    shutil.copytree(PROJECT / "uds_cffi", site / "uds_cffi", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copytree(PROJECT / "tests", root / FOLDER / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "declarations", root / FOLDER / "declarations")
    for name in ("pyproject.toml", "build_ffi.py"):
        shutil.copy(PROJECT / name, root / FOLDER)
    extension(shared, processor, site / "uds_cffi" / "_lib.abi3.so")
    (root / "guest" / "modules").mkdir(parents=True)
    shutil.copy(HERE / "guest.py", root / "guest")
    shutil.copy(HERE / "exercises.py", root / "guest")
    precompile(root, native, own=processor == AMD64)


def extension(shared: Shared, processor: Processor, out: Path) -> None:
    """Compile the library for a processor."""
    said = shared.zig.extension(processor.triple, shared.source, out, build_ffi.FEATURE_MACROS)
    if said:
        raise Failure(f"the library does not compile for {processor.triple}:\n{said}")


def precompile(root: Path, native: Path | None, own: bool) -> None:
    """Compile the Python files of a root, where something here can: emulated, it would take minutes.

    Python checks each against its source when it is imported.
    """
    library = sorted(root.glob("usr/lib/python3.*"))[0].relative_to(root)
    folders = [str(library), SITE]
    if native is not None and (native / library).is_dir():
        for folder in (*folders, f"{FOLDER}/tests"):
            for compiled in sorted((native / folder).rglob("__pycache__/*.pyc")):
                place = root / compiled.relative_to(native)
                if place.parent.parent.is_dir() and not place.exists():
                    place.parent.mkdir(exist_ok=True)
                    shutil.copy2(compiled, place)
        return
    options = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    if own:
        # The tests too, which pytest compiles in its own way when it imports them.
        tests = [f"tests/{name}.py" for name in PROCESSOR]
        collect = ["-P", "-m", "pytest", "--quiet", "--collect-only", "-p", "no:cacheprovider", *tests]
        write_plan(root, [collect, [*options, *(f"/{folder}" for folder in folders)]])
        subprocess.run(within(root, "/guest/guest.py"), check=False, stdout=subprocess.DEVNULL, timeout=SECONDS)
        (root / PLAN).unlink()
        return
    interpreter = shutil.which(library.name)
    if interpreter is not None:
        command = [interpreter, *options, "-s", str(root), "-p", "/", *(str(root / folder) for folder in folders)]
        # Some files of Debian's are templates, and do not compile.
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=SECONDS)


def write_plan(root: Path, commands: list[list[str]], *, mounts: bool = True, machine: bool = False) -> None:
    """Write what `guest.py` does in a root."""
    content = {
        "mounts": mounts,
        "machine": machine,
        "folder": f"/{FOLDER}",
        "commands": commands,
        "seconds": SECONDS,
        "environment": {
            "PATH": "/usr/bin",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
            "PYTHONSAFEPATH": "1",
            "UDS_TEST_PATIENCE": str(PATIENCE),
            "UDS_TEST_STRIDE": "20",
        },
    }
    (root / PLAN).write_text(json.dumps(content), encoding="utf-8")


def finish(guest: Guest, root: Path, kernel: Path) -> None:
    """Add what is this guest's: its plan, and the module of its kernel that lists sockets."""
    commands = [["/guest/exercises.py"]]
    if guest.tests:
        chosen = PROCESSOR if guest.kind == MACHINE else {**PROCESSOR, **KERNEL}
        modules = [f"tests/{name}.py" for name in chosen]
        commands.append(["-P", "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *modules])
    write_plan(root, commands, mounts=guest.kind != GVISOR, machine=guest.kind in (UML, MACHINE))
    if not guest.modules:
        return
    for module in kernel.rglob("unix_diag.ko*"):
        data = module.read_bytes()
        text = lzma.decompress(data) if module.suffix == ".xz" else data
        (root / "guest" / "modules" / "unix_diag.ko").write_bytes(text)
