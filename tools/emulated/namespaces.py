"""Programs in namespaces of their own: their mounts and processes are gone when they end."""

from __future__ import annotations

from pathlib import Path

ALONE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child")


def within(root: Path, *arguments: str) -> list[str]:
    """Return the command that runs Python in a root."""
    return [*ALONE, f"--root={root}", "/usr/bin/python3", "-P", *arguments]
