"""Probes of socket files, each with a file in a private folder of its own in the folder for temporary files."""

from __future__ import annotations

import errno
import os
import stat

from . import calls
from ._lib import lib
from .errors import FeatureUnavailable
from .places import Place
from .probing import NOT_PERMITTED, Pair, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ._lib import CData

_NAME = "s"


def _opened(handle: CData) -> bool:
    """Make a socket; raises when this process may open no more descriptors."""
    result = calls.open_socket(handle, calls.SOCK_DGRAM, 1)
    if result in (-errno.EMFILE, -errno.ENFILE):
        calls.check(result)
    return result >= 0


def _in_folder(look: Callable[[Place, int], object]) -> object:
    """Call a function with the place of a file in a private folder, and with the folder's descriptor."""
    import tempfile

    try:
        path = tempfile.mkdtemp(prefix="u")
    except OSError:
        return NOT_PERMITTED
    place = Place(os.path.join(path, _NAME))
    try:
        with place:
            return look(place, place.open(path, os.O_RDONLY | os.O_DIRECTORY).fileno())
    finally:
        if place.status() is not None:
            place.unlink()
        os.rmdir(path)


@probe(lib.SOCK_DGRAM)
def bindat(pair: Pair) -> object:
    """A socket is bound to a name in a folder, and another finds it there."""

    def look(place: Place, folder: int) -> object:
        inside = Place(_NAME, folder)
        try:
            return inside.bind(pair.one) == 0 and place.status() is not None and inside.connect(pair.two) == 0
        except FeatureUnavailable:
            return False

    pair.close()
    return _opened(pair.one) and _opened(pair.two) and _in_folder(look)


@probe(lib.SOCK_DGRAM)
def file_mode(pair: Pair) -> object:
    """A file has no more permissions than its socket was given before."""

    def look(place: Place, folder: int) -> object:
        if place.address is None:
            return NOT_PERMITTED
        os.fchmod(calls.fileno(pair.one), 0o400)
        if place.bind(pair.one) != 0:
            return False
        status = place.status()
        return status is not None and not stat.S_IMODE(status.st_mode) & ~0o400

    pair.close()
    return _opened(pair.one) and _in_folder(look)
