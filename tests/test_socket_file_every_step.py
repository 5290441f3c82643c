"""Socket files and exceptions at every step.

Rule: after an exception at any bytecode of bind(), connect(), publish() and close(), no descriptor and no lock is left
that somebody holds, nobody else's file is gone, and the next call works.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import support
from interrupting import interrupt_everywhere

from uds_cffi import UnixDatagram, UnixListener, UnixStream, publish, socketfile

pytestmark = [pytest.mark.raises_anywhere, pytest.mark.usefixtures("finalizers_may_speak")]

WAYS: dict[str, dict[str, Any]] = {
    "mode": {"mode": 0o600},
    "replace_stale": {"replace_stale": True},
    "takeover": {"takeover": True},
    "unlink": {"unlink_on_close": True},
}


@pytest.fixture
def place(short_dir: str) -> str:
    """Name a socket file beside a file of somebody else."""
    with open(f"{short_dir}/other", "w"):
        pass
    return f"{short_dir}/s"


@pytest.mark.parametrize("kind", [UnixListener, UnixDatagram])
@pytest.mark.parametrize("way", WAYS)
def test_bind(kind: Any, way: str, place: str, short_dir: str) -> None:
    """Binding that was interrupted does not keep the next one from the place."""

    def prepare() -> None:
        for name in set(os.listdir(short_dir)) - {"other"}:
            # What a crash may leave, which is no more than this.
            assert name in ("s", ".s.lock", ".s.new")
        if way in ("replace_stale", "takeover"):
            if not os.path.exists(place):
                kind.bind(place).close()
        elif os.path.exists(place):
            os.unlink(place)

    def call() -> None:
        kind.bind(place, **WAYS[way]).close()

    def check() -> None:
        with kind.bind(place, takeover=True):
            assert "other" in os.listdir(short_dir)

    interrupt_everywhere(call, prepare, check)


@support.needs("bindat")
@pytest.mark.parametrize("name", ["s", "sub/" + "n" * 200])
def test_from_a_folder(name: str, short_dir: str) -> None:
    """The folders that are opened on the way are closed."""
    os.mkdir(f"{short_dir}/sub")
    folder = os.open(short_dir, os.O_RDONLY)
    how: dict[str, Any] = {"dir_fd": folder, "long_path": True}

    def call() -> None:
        with UnixListener.bind(name, takeover=True, **how):
            UnixStream.connect(name, **how).close()

    def check() -> None:
        with UnixListener.bind(name, takeover=True, **how):
            UnixStream.connect(name, **how).close()

    interrupt_everywhere(call, lambda: None, check)
    os.close(folder)


def test_publish_and_close(short_dir: str) -> None:
    """Wherever publish() or close() was interrupted, the public name is removed when it is the socket's, or stays."""
    listeners: list[Any] = []

    def prepare() -> None:
        for name in ("private", "public"):
            if os.path.exists(f"{short_dir}/{name}"):
                os.unlink(f"{short_dir}/{name}")
        listeners.append(UnixListener.bind(f"{short_dir}/private", unlink_on_close=True))

    def call() -> None:
        publish(listeners[-1], f"{short_dir}/public")
        listeners[-1].close()

    def check() -> None:
        listeners.pop().close()
        socketfile._remove_all()
        with UnixListener.bind(f"{short_dir}/public", takeover=True):
            UnixStream.connect(f"{short_dir}/public").close()

    interrupt_everywhere(call, prepare, check)
