"""Sockets that are made and closed, and the addresses they are given."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import ExitStack
from functools import partial
from typing import Any

import uds_cffi
from uds_cffi import UnixSocketAddr

from .. import bare, floor
from ..measure import WrongResult
from ..operation import BARE, FLOOR, OURS, STDLIB, Operation, Trial, lacks_feature, register
from .pairs import TYPES, missing_type, our_pair, stdlib_pair

LISTENERS: dict[str, Any] = {"stream": uds_cffi.UnixListener, "seqpacket": uds_cffi.UnixSeqpacketListener}


def _prepare_pair(stack: ExitStack, name: str) -> Trial:
    cls, kind = TYPES[name]
    made = floor.load()

    def ours(rounds: int) -> None:
        for _ in range(rounds):
            one, two = cls.pair()
            one.close()
            two.close()

    def stdlib(rounds: int) -> None:
        for _ in range(rounds):
            one, two = socket.socketpair(socket.AF_UNIX, kind)
            one.close()
            two.close()

    def in_c(rounds: int) -> None:
        floor.check(made.lib.floor_pair_close(int(kind), rounds))

    def verify() -> None:
        # Pairs that are made in the same way, and connected.
        for one, two in (our_pair(stack, name), stdlib_pair(stack, name)):
            one.send(b"through")
            if two.recv(64) not in (b"through", (b"through", False)):
                raise WrongResult(f"{type(one).__name__}: a pair is not connected")

    in_cffi = bare.socketpair(int(kind))
    return Trial({OURS: ours, STDLIB: stdlib, BARE: in_cffi, FLOOR: in_c}, None, verify)


def _prepare_connect(stack: ExitStack, name: str, by_value: bool) -> Trial:
    cls, kind = TYPES[name]
    folder = tempfile.mkdtemp(prefix="b", dir="/tmp")
    stack.callback(shutil.rmtree, folder)
    path = os.path.join(folder, "s")
    listener: Any = stack.enter_context(LISTENERS[name].bind(path))
    other = socket.socket(socket.AF_UNIX, kind)
    stack.callback(other.close)
    other_path = os.path.join(folder, "t")
    other.bind(other_path)
    other.listen(socket.SOMAXCONN)
    target = UnixSocketAddr(path) if by_value else path
    made = floor.load()

    def ours(rounds: int) -> None:
        for _ in range(rounds):
            client = cls.connect(target)
            served, _ = listener.accept()
            served.close()
            client.close()

    def stdlib(rounds: int) -> None:
        for _ in range(rounds):
            client = socket.socket(socket.AF_UNIX, kind)
            client.connect(other_path)
            served, _ = other.accept()
            served.close()
            client.close()

    def in_c(rounds: int) -> None:
        floor.check(
            made.lib.floor_connect_accept(int(kind), other.fileno(), os.fsencode(other_path), rounds),
        )

    def verify() -> None:
        client = cls.connect(target)
        served, _ = listener.accept()
        with client, served:
            client.send(b"through")
            if served.recv(64) not in (b"through", (b"through", False)):
                raise WrongResult(f"{cls.__name__}: what was accepted is not connected")

    in_cffi = bare.connect_accept(int(kind), other.fileno(), other_path)
    return Trial({OURS: ours, STDLIB: stdlib, BARE: in_cffi, FLOOR: in_c}, None, verify)


def _prepare_address(stack: ExitStack, make: Any, value: Any) -> Trial:
    del stack

    def ours(rounds: int) -> Any:
        address = None
        for _ in range(rounds):
            address = make(value)
        return address

    return Trial({OURS: ours}, make(value))


for _name in ("stream", "seqpacket"):
    register(
        Operation(
            f"{_name} socketpair+close",
            "making and closing",
            partial(_prepare_pair, name=_name),
            missing_type(_name),
        )
    )
for _name in LISTENERS:
    for _by_value, _title in ((False, "by str"), (True, "by UnixSocketAddr")):
        register(
            Operation(
                f"{_name} connect+accept+close {_title}",
                "making and closing",
                partial(_prepare_connect, name=_name, by_value=_by_value),
                missing_type(_name),
            )
        )
for _title, _make, _value, _missing in (
    ("a str", UnixSocketAddr, "/run/service.socket", lambda: None),
    ("abstract bytes", UnixSocketAddr.from_abstract, b"service", lacks_feature("abstract_addresses")),
    ("what the standard library returns", UnixSocketAddr.from_stdlib, "/run/service.socket", lambda: None),
):
    register(
        Operation(
            f"UnixSocketAddr from {_title}",
            "addresses",
            partial(_prepare_address, make=_make, value=_value),
            _missing,
        )
    )
