"""Probes of what tells processes and sockets apart: pidfds, and the list of sockets.

Rule: the answer is compared with what this process knows of itself.
"""

from __future__ import annotations

import errno
import os
import sys

from . import calls, sockdiag
from ._lib import ffi, lib
from .probing import Pair, made, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData


def _is_mine(handle: CData) -> bool:
    """Whether this is a pidfd of this process."""
    info = ffi.new("struct uds_pidfd_info *")
    if lib.uds_pidfd_check(calls.fileno(handle)) < 0:
        return False
    pid = info.pid if lib.uds_handle_pidfd_info(handle, info) == 0 else lib.uds_handle_pidfd_pid(handle)
    return bool(pid == os.getpid())


@probe(lib.SOCK_STREAM)
def pidfd(pair: Pair) -> object:
    """This process can be found alive through a pidfd, and could be sent a signal."""
    pair.close()
    if not made(lib.uds_handle_pidfd_open(pair.one, os.getpid())):
        return False
    return (
        _is_mine(pair.one)
        and calls.wait(pair.one, calls.POLLIN, 0) == 0
        and not lib.uds_handle_pidfd_signal(pair.one, 0)
    )


@probe(lib.SOCK_STREAM)
def pidfd_info(pair: Pair) -> object:
    """The kernel tells this process's pid and user id by its pidfd."""
    pair.close()
    info = ffi.new("struct uds_pidfd_info *")
    if not made(lib.uds_handle_pidfd_open(pair.one, os.getpid())):
        return False
    told = lib.uds_handle_pidfd_info(pair.one, info) == 0
    return told and (info.pid, info.ruid) == (os.getpid(), os.getuid())


@probe(lib.SOCK_STREAM)
def pidfd_identity(pair: Pair) -> object:
    """Two pidfds of this process are the same file."""
    pair.close()
    for handle in (pair.one, pair.two):
        if not made(lib.uds_handle_pidfd_open(handle, os.getpid())):
            return False
    return lib.uds_handle_pidfd_same(pair.one, pair.two) == 1


@probe(lib.SOCK_STREAM)
def peer_pidfd(pair: Pair) -> object:
    """The peer of a pair is this process, also after it was closed."""
    calls.close(pair.two)
    return made(lib.uds_handle_peer_pidfd(pair.one, pair.two)) and _is_mine(pair.two)


@probe(lib.SOCK_DGRAM)
def pass_pidfd(pair: Pair) -> object:
    """A message carries a pidfd of this process."""
    if not pair.set(lib.SO_PASSPIDFD, 1):
        return False
    pair.send(b"x")
    for level, kind, data in pair.receive():
        if (level, kind) == (lib.SOL_SOCKET, lib.SCM_PIDFD):
            # A negative number tells why there is none.
            return made(int.from_bytes(data, sys.byteorder, signed=True)) and _is_mine(pair.pidfd)
    return False


@probe(lib.SOCK_STREAM)
def diagnostics(pair: Pair) -> object:
    """The kernel knows both, each as the other's peer."""
    inodes = [sockdiag.inode_of_handle(handle) for handle in (pair.one, pair.two)]
    conversation = sockdiag.Conversation()
    try:
        opened = conversation.open()
        if opened in (-errno.EMFILE, -errno.ENFILE):
            calls.check(opened)
        answers = [conversation.ask(inode) for inode in inodes] if opened == 0 else []
    finally:
        conversation.close()
    peers = [answer[0].peer for answer in answers if isinstance(answer, list) and answer]
    return peers == inodes[::-1]
