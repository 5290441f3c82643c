"""Packages of Debian, of any suite and architecture, unpacked into a folder.

Rule: the machine stays as it is. The lists, the packages and apt's own settings are in a scratch folder, and no
script of a package runs. The mirror and how to reach it (proxies, passwords, time limits) are the machine's own;
who may sign is Debian: the keys are those of the package debian-archive-keyring.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .commands import Failure, run

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def extract(packages: Sequence[str], into: Path, *, suite: str, architecture: str, dependencies: bool = False) -> None:
    """Download packages and unpack them.

    Args:
        packages: Their names.
        into: The root that they are unpacked under; made if it is missing.
        suite: "bullseye", "bookworm", "trixie", "sid".
        architecture: As Debian calls it: "amd64", "s390x".
        dependencies: Also what they need to run (Depends and Pre-Depends), and what that needs.

    Raises:
        Failure: A package is not there, or the mirror is not.
    """
    with Suite(suite, architecture) as archive:
        archive.extract(packages, into, dependencies=dependencies)


def source(package: str, into: Path, *, suite: str) -> Path:
    """Download the sources of a package as its authors gave them out, without Debian's changes.

    Args:
        package: The name of the source package.
        into: The folder that the file is put into; made if it is missing.
        suite: As for packages.

    Returns:
        The archive.

    Raises:
        Failure: It is not there, or the mirror is not.
    """
    with Suite(suite, "amd64", kind="deb-src") as archive:
        return archive.source(package, into)


class Suite:
    """One suite for one architecture, with apt's lists of it; a context manager that removes them."""

    def __init__(self, suite: str, architecture: str, *, kind: str = "deb") -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="debian-")
        self._work = Path(self._scratch.name)
        try:
            self._configure(suite, architecture, kind)
            self._run("apt-get", "--quiet=2", "update")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Suite:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the lists."""
        self._scratch.cleanup()

    def _configure(self, suite: str, architecture: str, kind: str) -> None:
        if not KEYS.is_file():
            raise Failure(f"Debian's keys are missing: {KEYS}; apt-get install debian-archive-keyring")
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._work / folder).mkdir(parents=True)
        (self._work / "sources.list").write_text(
            f"{kind} [signed-by={KEYS} arch={architecture}] {mirror()} {suite} main\n", encoding="utf-8"
        )
        (self._work / "status").touch()
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            # For files that are root's; the user of apt's own may not even enter the folder.
            "APT::Sandbox::User": "root",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": str(self._work / "sources.list"),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": str(self._work),
            "Dir::State::lists": str(self._work / "lists"),
            "Dir::State::status": str(self._work / "status"),
            "Dir::Cache": str(self._work / "cache"),
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # The lists of sid say that they are good for a week, and a mirror may be kept at a day of the past.
            "Acquire::Check-Valid-Until": "false",
        }
        text = acquiring() + "".join(f'{name} "{value}";\n' for name, value in settings.items())
        (self._work / "apt.conf").write_text(text, encoding="utf-8")

    def extract(self, packages: Sequence[str], into: Path, *, dependencies: bool = False) -> None:
        """Download packages and unpack them under a root; see the function of the same name."""
        place = self._work / "packages"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if dependencies:
            archives = f"Dir::Cache::archives={place}/"
            (place / "partial").mkdir()
            self._run("apt-get", "--quiet=2", "--yes", "--download-only", "-o", archives, "install", *packages)
        else:
            self._run("apt-get", "--quiet=2", "download", *packages, cwd=place)
        into.mkdir(parents=True, exist_ok=True)
        found = sorted(place.glob("*.deb"))
        if len(found) < len(set(packages)):
            raise Failure(f"apt-get gave {len(found)} of the packages {', '.join(packages)}")
        for package in found:
            self._run("dpkg", "-x", str(package), str(into))
        shutil.rmtree(place)

    def source(self, package: str, into: Path) -> Path:
        """Download the archive of a package's sources; see the function of the same name."""
        into.mkdir(parents=True, exist_ok=True)
        self._run("apt-get", "--quiet=2", "source", "--download-only", "--tar-only", package, cwd=into)
        found = sorted(into.glob("*.orig.tar.*[!c]"))
        if len(found) != 1:
            raise Failure(f"apt-get gave {len(found)} archives of the sources of {package}")
        return found[0]

    def meant(self, package: str) -> str:
        """Return the package that an empty one stands for: its first dependency."""
        lines = self._run("apt-cache", "depends", "--important", package).splitlines()
        names = [line.partition("Depends:")[2].strip() for line in lines if "Depends:" in line]
        if not names:
            raise Failure(f"{package} depends on nothing")
        return names[0]

    def _run(self, *command: str, cwd: Path | None = None) -> str:
        environment = {"APT_CONFIG": str(self._work / "apt.conf"), "LC_ALL": "C.UTF-8"}
        return run(*command, cwd=cwd, environment=environment)


def mirror() -> str:
    """Return the address of the machine's own mirror of Debian, from its configuration (sources.list and *.sources)."""
    text = run("apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    found = [address for label, _, address in (line.partition("|") for line in text.splitlines()) if label == "Debian"]
    if not found:
        raise Failure("apt's configuration has no mirror of Debian whose lists are here; apt-get update")
    return found[0]


def acquiring() -> str:
    """Return the machine's settings of how to download, for another configuration of apt.

    Neither what to download besides packages nor what to run then is among them.
    """
    lines = run("apt-config", "dump", "Acquire").splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith("Acquire::IndexTargets"))
