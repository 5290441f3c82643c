"""Packages are fetched and unpacked without a change of the machine; run on a Debian, as the environment does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import debian
from tools.commands import Failure


def test_packages_of_another_architecture_are_unpacked(tmp_path: Path) -> None:
    """A package of a processor and a suite that are not this machine's is there, alone, or with what it needs; and
    apt's own lists and dpkg's list of architectures are as before.
    """
    before = state()
    with debian.Suite("bookworm", "armhf") as suite:
        suite.extract(["liblzma5"], tmp_path / "alone")
        suite.extract(["liblzma5"], tmp_path / "whole", dependencies=True)
        with pytest.raises(Failure, match="no-such-package"):
            suite.extract(["no-such-package"], tmp_path / "none")
        assert suite.meant("linux-image-armmp").startswith("linux-image-6.1.")

    library = "lib/arm-linux-gnueabihf/liblzma.so.5"
    assert (tmp_path / "alone" / library).read_bytes()[:4] == b"\x7fELF"
    assert not list((tmp_path / "alone").rglob("libc.so.6"))
    assert (tmp_path / "whole" / library).exists()
    assert list((tmp_path / "whole").rglob("libc.so.6"))
    assert not (tmp_path / "none").exists()
    assert state() == before


def test_sources_are_fetched(tmp_path: Path) -> None:
    """The archive of a source package is there, as its authors gave it out, and a missing one is an error."""
    with debian.Suite("bookworm", "amd64", kind="deb-src") as suite:
        assert suite.source("zlib", tmp_path).name.startswith("zlib_1.2.13")
        with pytest.raises(Failure, match="no-such-package"):
            suite.source("no-such-package", tmp_path / "none")


def state() -> tuple[str, list[str]]:
    """Return what of the machine must not change."""
    architectures = subprocess.run(
        ["dpkg", "--print-foreign-architectures"], capture_output=True, text=True, check=True
    )
    return architectures.stdout, sorted(map(str, Path("/var/lib/apt/lists").rglob("*")))


def test_nothing_is_left_of_the_lists() -> None:
    """The scratch folder is gone with the context, and also when apt fails."""
    with debian.Suite("bookworm", "armhf") as suite:
        work = suite._work
        assert work.exists()
    assert not work.exists()
    with pytest.raises(Failure, match="exit status 100"):
        debian.Suite("no-such-suite", "armhf")


def test_mirror_is_that_of_debian_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several sources that which is labelled Debian is taken, and without one the error says what to do."""
    lines = ["Debian-Security|http://a/debian-security/", "|http://b/", "Debian|http://c/debian/", "Debian|http://d/"]
    monkeypatch.setattr(debian, "run", lambda *_: "\n".join(lines))
    assert debian.mirror() == "http://c/debian/"

    monkeypatch.setattr(debian, "run", lambda *_: "\n".join(lines[:2]))
    with pytest.raises(Failure, match="apt-get update"):
        debian.mirror()


def test_settings_of_how_to_download_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is used; what else the machine downloads, for programs on it, is not."""
    dumped = 'Acquire "";\nAcquire::http::Proxy "http://p/";\nAcquire::IndexTargets::deb::DEP-11 "";\n'
    monkeypatch.setattr(debian, "run", lambda *_: dumped)

    assert debian.acquiring() == 'Acquire "";\nAcquire::http::Proxy "http://p/";\n'


def test_missing_keys_are_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing is named."""
    monkeypatch.setattr(debian, "KEYS", tmp_path / "keys")
    with pytest.raises(Failure, match="apt-get install debian-archive-keyring"):
        debian.Suite("bookworm", "armhf")
