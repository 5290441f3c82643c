"""Put a foreign module into a copy of the package, in an environment of its own.

Rule: nothing is installed into the environment that runs this; of that one only the libraries are used.
"""

from __future__ import annotations

import shutil
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# cffi's C keeps to the stable ABI where it is not told otherwise, and this name says so.
MODULE = "_lib.abi3.so"


def environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment with a copy of the package that lacks its module.

    Returns:
        The interpreter, and where the module goes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    packages = Path(paths["purelib"])
    shutil.copytree(ROOT / "uds_cffi", packages / "uds_cffi", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    # The libraries of this environment come behind, so that an installed uds_cffi is not taken.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "foreign.pth").write_text("".join(f"{path}\n" for path in sorted(others)), encoding="utf-8")
    return python, packages / "uds_cffi" / MODULE
