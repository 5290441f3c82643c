"""What the tests of the compiled module share: descriptors in handles, made with nothing but `ffi` and `lib`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from uds_cffi import ffi, lib


def new_handle() -> Any:
    """Make a handle that holds no descriptor."""
    return ffi.new("struct uds_handle *")


@contextlib.contextmanager
def connected_handles(kind: int = lib.SOCK_STREAM, nonblocking: bool = False) -> Iterator[tuple[Any, Any]]:
    """Make two connected sockets in handles, and close them."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_socketpair(one, two, kind, nonblocking) == 0
    try:
        yield one, two
    finally:
        lib.uds_handle_close(one)
        lib.uds_handle_close(two)
