"""What the tests of framed messages share.

Rule: the wire format stands here a second time, in Python, and is not asked of the library.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from uds_cffi import FramedStream, UnixStream


def wire(*messages: bytes) -> bytes:
    """Return messages as they are on the wire."""
    return b"".join(struct.pack("!I", len(message)) + message for message in messages)


@contextlib.contextmanager
def framed_pair(*arguments: Any, **keywords: Any) -> Iterator[tuple[FramedStream, FramedStream]]:
    """Make two framed streams that are connected, both with these arguments."""
    one, two = UnixStream.pair()
    with FramedStream(one, *arguments, **keywords) as first, FramedStream(two, *arguments, **keywords) as second:
        yield first, second
