"""Descriptors, credentials and addresses of the packets of a batch.

Rule: each packet has exactly what came with it.  A descriptor has an owner from before it arrives; what is not wanted
is closed and counted, and what is not taken is closed with the batch.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import resource
import tempfile
from typing import Any

import passing
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from test_signals_every_step import is_interrupted

from uds_cffi import (
    MSG_DONTWAIT,
    Credentials,
    FeatureUnavailable,
    OwnedFd,
    ScmCredentials,
    UnixDatagram,
    UnixSocketAddr,
    batchmemory,
    lib,
)


def counts(batch: Any) -> list[tuple[bytes, int, int | None]]:
    return [(packet.data, len(packet.fds), packet.lost) for packet in batch]


# --- Descriptors --------------------------------------------------------------------------------


def test_each_packet_has_its_descriptors(packet_pair: tuple[Any, Any], files: list[int]) -> None:
    """Descriptors arrive with their packet, in order, close-on-exec, and stay open when they are taken."""
    one, two = packet_pair
    first, second = files
    with OwnedFd(os.dup(second)) as owned:
        sets = [None, [first, owned], (), iter([second]), [owned]]
        assert one.send_batch([b"a", b"b", b"c", b"d", b"e"], fds=sets) == 5
        assert lib.uds_handle_users(owned._handle) == 0
    with two.recv_batch(9, 9, max_fds=2) as batch:
        assert counts(batch) == [(b"a", 0, 0), (b"b", 2, 0), (b"c", 0, 0), (b"d", 1, 0), (b"e", 1, 0)]
        for packet, originals in zip(batch, [[], [first, second], [], [second], [second]]):
            assert passing.same(packet.fds, originals)
            assert not any(os.get_inheritable(number) for number in packet.fds.numbers())
        assert batch[1].fds is batch[1].fds
        taken = batch[1].fds[0]
    assert [packet.fds.numbers() for packet in batch[3:]] == [[-1], [-1]]
    with taken:
        assert os.path.sameopenfile(taken.fileno(), first)


def test_memory_has_no_other_owner_than_c_knows(packet_pair: tuple[Any, Any], number: int) -> None:
    """Interrupted at any step while it gets a new owner, the memory gets one before the next receive."""
    one, two = packet_pair
    for step in itertools.count(1):
        incoming = batchmemory.IncomingBatch()
        preset = (1, 8, MSG_DONTWAIT, False, 1, False, False, False)
        incoming.prepare(two._handle, preset)
        interrupted = is_interrupted(functools.partial(incoming._own, "fds"), step)
        incoming.prepare(two._handle, preset)
        one.send_batch([b"x"], fds=[[number]])
        assert batchmemory.receive_batch(incoming.c) & batchmemory.TAKEN == 1
        fds = incoming.take_fds()
        assert fds is not None
        assert passing.same(fds, [number])
        fds.close()
        if not interrupted:
            break
    assert step > 5


def test_closing_a_batch_twice_is_once(packet_pair: tuple[Any, Any], number: int) -> None:
    """close() closes what was not taken, in every packet, and again nothing."""
    one, two = packet_pair
    one.send_batch([b"a", b"b"], fds=[[number], [number] * 5])
    batch = two.recv_batch(2, 2, max_fds=5)
    numbers = [one for packet in batch for one in packet.fds.numbers()]
    assert len(set(numbers)) == 6
    for _ in range(2):
        batch.close()
        assert not any(support.is_open(one) for one in numbers)
    batch = two.recv_batch(2, 2, max_fds=5) if one.send(b"x") else None
    assert batch is not None
    batch.close()


def test_forgotten_batch_warns_and_closes(packet_pair: tuple[Any, Any], number: int) -> None:
    """The garbage collector closes what nobody took, with a warning."""
    one, two = packet_pair
    one.send_batch([b"a", b"b"], fds=[[number], [number]])
    batch = two.recv_batch(2, 2, max_fds=1)
    numbers = [packet.fds.numbers()[0] for packet in batch]
    kept = [batch]
    del batch

    def forget() -> None:
        kept.clear()
        support.collect()

    with pytest.warns(ResourceWarning, match="1 unclosed descriptors"):
        forget()
    assert not any(support.is_open(one) for one in numbers)


def test_surplus_is_closed_and_counted(packet_pair: tuple[Any, Any], files: list[int]) -> None:
    """Of each packet the first max_fds are kept; how many were closed is said of each."""
    one, two = packet_pair
    one.send_batch([b"a", b"b", b"", b"d"], fds=[files * 2, files[:1], files * 100, None])
    with two.recv_batch(9, 9, max_fds=3) as batch:
        assert counts(batch) == [(b"a", 3, 1), (b"b", 1, 0), (b"", 3, 197), (b"d", 0, 0)]
        assert passing.same(batch[0].fds, [files[0], files[1], files[0]])
    one.send_batch([b"a", b"b"], fds=[files, None])
    assert counts(two.recv_batch(9, 9, addresses=True)) == [(b"a", 0, 2), (b"b", 0, 0)]


def test_plain_receive_discards(packet_pair: tuple[Any, Any], number: int) -> None:
    """Without asking for anything beside bytes, ancillary data is discarded, as recv(2) does."""
    one, two = packet_pair
    one.send_batch([b"a", b"b"], fds=[[number], [number] * 253])
    assert counts(two.recv_batch(9, 9)) == [(b"a", 0, 0), (b"b", 0, 0)]


@pytest.mark.parametrize("most", [1, 100, 253])
def test_slots_end_a_batch(packet_pair: tuple[Any, Any], number: int, most: int) -> None:
    """A batch ends before a packet whose descriptors might find no slot, and no descriptor is lost."""
    one, two = packet_pair
    sent = 12
    with support.in_thread(one.send_batch, [b"x"] * sent, 0) as done:
        pass
    assert done == [sent]
    assert two.recv_batch(sent, 1).data == [b"x"] * sent
    one.send_batch([b"%d" % place for place in range(sent)], fds=[[number] * most] * sent)
    sizes = []
    while sum(sizes) < sent:
        with two.recv_batch(1024, 8, max_fds=most) as batch:
            assert [(len(packet.fds), packet.lost) for packet in batch] == [(most, 0)] * len(batch)
            sizes.append(len(batch))
    assert max(sizes) == min(sent, 253 // most)


def test_kernel_that_cuts_is_reported(packet_pair: tuple[Any, Any], number: int) -> None:
    """When this process may open no more, the packet says that the kernel dropped some, and the next keeps its own."""
    one, two = packet_pair
    one.send_batch([b"a", b"b", b"c"], fds=[[number], [number] * 2, [number] * 2])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(number)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 2, hard))
    try:
        batch = two.recv_batch(9, 9, max_fds=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with batch:
        assert counts(batch) == [(b"a", 1, 0), (b"b", 1, None)]
    with two.recv_batch(9, 9, max_fds=2) as batch:
        assert counts(batch) == [(b"c", 2, 0)]


def test_closed_descriptor_sends_nothing(packet_pair: tuple[Any, Any], number: int) -> None:
    """An object that is closed is found before the first packet goes; a bad number by the kernel, at its packet."""
    one, two = packet_pair
    closed = OwnedFd(os.dup(number))
    closed.close()
    with support.raises_errno(errno.EBADF):
        one.send_batch([b"a", b"b"], fds=[[number], [closed]])
    assert two.try_recv(1) is None
    assert one.send_batch([b"a", b"b"], fds=[[number], [10**6]]) == 1
    with support.raises_errno(errno.EBADF):
        one.send_batch([b"b"], fds=[[10**6]])
    assert two.recv_batch(9, 9).data == [b"a"]


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
@settings(max_examples=40, deadline=None)
@given(
    plan=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=30),
    most=st.integers(1, 5),
    size=st.integers(0, 6),
    batches=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_any_sequence(kind: Any, plan: list[tuple[int, int]], most: int, size: int, batches: list[int]) -> None:
    """Any packets with any descriptors come in any batches as they were sent, and each descriptor is its own file."""
    one, two = kind.pair()
    with one, two, contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()).fileno() for _ in range(3)]
        sets = [[files[(place + turn) % 3] for turn in range(count)] for place, (_, count) in enumerate(plan)]
        packets = [b"%c" % place * length for place, (length, _) in enumerate(plan)]
        # An empty packet needs something beside it where the system cannot tell it from the end.
        packets = [data or b"." if not fds and not lib.UDS_HAS_PACKET_END else data for data, fds in zip(packets, sets)]
        assert one.send_batch(packets, fds=sets) == len(plan)
        got: list[Any] = []
        turn = 0
        while len(got) < len(plan):
            with two.recv_batch(batches[turn % len(batches)], size, max_fds=most) as batch:
                for packet in batch:
                    originals = sets[len(got)]
                    assert passing.same(packet.fds, originals[:most])
                    assert packet.lost == max(0, len(originals) - most)
                    got.append((packet.data, packet.truncated))
            turn += 1
        assert got == [(data[:size], len(data) > size) for data in packets]


# --- Credentials and addresses ------------------------------------------------------------------


@support.needs("credentials")
def test_credentials_of_each_packet(packet_pair: tuple[Any, Any], number: int) -> None:
    """Credentials arrive with each packet once the receiver wants them, and only when they are asked for."""
    one, two = packet_pair
    two.options.pass_credentials = True
    mine = ScmCredentials(os.getpid(), os.getuid(), os.getgid())
    assert one.send_batch([b"a", b"b"], credentials=[None, Credentials()], fds=[[number], None]) == 2
    with two.recv_batch(5, 5, credentials=True, max_fds=1) as batch:
        assert [packet.credentials for packet in batch] == [mine, mine]
        assert counts(batch) == [(b"a", 1, 0), (b"b", 0, 0)]
    one.send_batch([b"a"])
    assert two.recv_batch(5, 5, addresses=True)[0].credentials is None
    two.options.pass_credentials = False
    one.send_batch([b"a"])
    assert two.recv_batch(5, 5, credentials=True)[0].credentials is None
    # A process that does not exist is the kernel's error.
    with pytest.raises(OSError, match="Errno"):
        one.send_batch([b"a"], credentials=[Credentials(pid=0)])


@support.lacks("credentials")
def test_credentials_where_there_are_none(packet_pair: tuple[Any, Any]) -> None:
    """A build without credentials per message says so, and sends and receives nothing."""
    one, two = packet_pair
    with pytest.raises(FeatureUnavailable) as caught:
        one.send_batch([b"a"], credentials=[Credentials()])
    assert caught.value.feature == "credentials"
    assert one.send_batch([b"a"], credentials=[None]) == 1
    with pytest.raises(FeatureUnavailable):
        two.recv_batch(1, 1, credentials=True)
    assert two.recv_batch(1, 1).data == [b"a"]


def test_addresses_of_each_packet(short_dir: str) -> None:
    """Each packet has the address of its sender, unnamed when it has none; None when nobody asked."""
    path = f"{short_dir}/receiver"
    names = [f"{short_dir}/{'n' * place}" for place in (1, 2)]
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(UnixDatagram.bind(path))
        senders = [stack.enter_context(UnixDatagram.bind(name)) for name in names]
        senders.append(stack.enter_context(UnixDatagram.unbound()))
        order = [0, 1, 2, 1, 1, 0]
        for turn in order:
            senders[turn].send_to(b"%d" % turn, path)
        batch = receiver.recv_batch(5, 5, addresses=True)
        addresses = [*map(UnixSocketAddr.from_path, names), UnixSocketAddr.unnamed()]
        assert [packet.addr for packet in batch] == [addresses[turn] for turn in order[:5]]
        assert receiver.recv_batch(5, 5)[0].addr is None


def test_longest_address(short_dir: str) -> None:
    """A name that fills all of the room that a name has comes whole."""
    path = f"{short_dir}/{'n' * (UnixSocketAddr.max_path_len() - len(short_dir) - 1)}"
    with UnixDatagram.bind(path) as longest, UnixDatagram.bind(f"{short_dir}/r") as receiver:
        longest.send_batch_to([b"a", b"b"], f"{short_dir}/r")
        batch = receiver.recv_batch(5, 5, addresses=True)
        assert [packet.addr for packet in batch] == [UnixSocketAddr.from_path(path)] * 2
