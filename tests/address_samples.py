"""Addresses of every kind that this build has: Hypothesis strategies, and names to bind."""

from __future__ import annotations

import itertools
import os

from hypothesis import strategies as st

from uds_cffi import UnixSocketAddr

path_names = st.binary(min_size=1, max_size=UnixSocketAddr.max_path_len()).map(lambda raw: raw.replace(b"\0", b"0"))
abstract_names = st.binary(max_size=UnixSocketAddr.max_abstract_len())
addresses = path_names.map(UnixSocketAddr.from_path) | st.just(UnixSocketAddr.unnamed())
if UnixSocketAddr.has_abstract_addresses():
    addresses |= abstract_names.map(UnixSocketAddr.from_abstract)

_serial = itertools.count()


def own_name() -> bytes:
    """Return an abstract name that nobody else uses."""
    return b"uds test %d %d " % (os.getpid(), next(_serial))


def samples(folder: str) -> list[UnixSocketAddr]:
    """Return addresses that can be bound, of every kind and with odd bytes."""
    found = [UnixSocketAddr(os.path.join(folder, name)) for name in ("s", "é", "@", "x" * 60)]
    found.append(UnixSocketAddr(os.path.join(os.fsencode(folder), b"\xff")))
    if UnixSocketAddr.has_abstract_addresses():
        found += [UnixSocketAddr.from_abstract(own_name() + tail) for tail in (b"", b"\0", b"a\0b", b"\xff")]
    return found
