"""send_batch() and recv_batch(): many packets in one call.

Rule: a batch is the same as one call per packet, in order; only what was there is taken, and what happened on the way
is reported.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import pickle
import time
from collections.abc import Sequence
from typing import Any

import pytest
import support
from blocked import running

from uds_cffi import (
    MSG_DONTWAIT,
    BatchPacket,
    OwnedFds,
    PacketBatch,
    UnixDatagram,
    batchmemory,
    cut,
)


def plain(data: bytes, *, truncated: bool = False) -> tuple[bytes, bool, bytes, int, None, None]:
    """Return what shows of a packet without anything beside its bytes."""
    return (data, truncated, b"", 0, None, None, ())


def shown(batch: Any) -> list[Any]:
    return [(*packet[:2], b"" if not len(packet.fds) else packet.fds, *packet[3:]) for packet in batch]


# --- What is sent is received -------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65])
@pytest.mark.parametrize("lengths", [[7], [1, 2, 3], [300, 1]])
def test_packets_arrive_in_order(packet_pair: tuple[Any, Any], count: int, lengths: list[int]) -> None:
    """The packets are those that were sent, each whole, in order, whether or not they have the same length."""
    one, two = packet_pair
    packets = [bytes([place]) * lengths[place % len(lengths)] for place in range(count)]
    assert one.send_batch(packets) == count
    batch = two.recv_batch(100, 300)
    assert type(batch) is PacketBatch
    assert batch.data == packets
    assert shown(batch) == [plain(data) for data in packets]
    assert (batch.ended, batch.error) == (False, None)
    assert two.try_recv(1) is None


@pytest.mark.parametrize("lengths", [[5], [4, 6]])
def test_more_ways_to_take_apart_than_are_kept(packet_pair: tuple[Any, Any], lengths: list[int]) -> None:
    """Batches of ever other numbers and lengths are taken apart, and what is kept for that has a limit."""
    one, two = packet_pair
    for number in range(4, 40):
        for extra in range(10):
            packets = [bytes([number]) * (lengths[place % len(lengths)] + extra) for place in range(number)]
            one.send_batch(packets)
            assert two.recv_batch(number, 20).data == packets
    assert len(batchmemory.splitters) <= cut.KEPT


@pytest.mark.parametrize(
    "packets",
    [
        (b"a", b"b"),
        {b"a": 1, b"b": 2}.keys(),
        [bytearray(b"a"), memoryview(b"b")],
        [memoryview(b"ab").cast("H"), b"b"],
        [b"a", memoryview(b"xbx")[1:2]],
    ],
)
def test_packets_are_bytes_like(packet_pair: tuple[Any, Any], packets: Any) -> None:
    """Packets are any iterable of contiguous bytes-like objects, counted in bytes."""
    one, two = packet_pair
    assert one.send_batch(packets) == 2
    assert two.recv_batch(2, 2).data in ([b"a", b"b"], [b"ab", b"b"])


HOLE = cut.HOLE


@pytest.mark.parametrize(
    "packets",
    [[HOLE], [HOLE[:2], HOLE[2:]], [b"", HOLE + HOLE, b""], [HOLE[:1] * 100], [HOLE[:3], b"", HOLE[:1]]],
)
def test_packets_may_hold_what_stands_between_them(packet_pair: tuple[Any, Any], packets: list[bytes]) -> None:
    """Packets arrive as they were sent, whatever bytes they are of."""
    one, two = packet_pair
    assert one.send_batch(packets) == len(packets)
    assert two.recv_batch(len(packets) + 1, 100).data == packets


def test_packets_are_copied_before_the_first_goes(packet_pair: tuple[Any, Any]) -> None:
    """Packets that wait for room are those of the call, although the caller's memory changes meanwhile."""
    one, two = packet_pair
    packets: list[Any] = [bytearray(b"%04d" % place) for place in range(2000)]
    expected = list(map(bytes, packets))
    with support.in_thread(one.send_batch, packets) as sent:
        received = two.recv_batch(1, 8).data
        for packet in packets:
            packet[:] = b"changed"
        while len(received) < len(expected):
            received += two.recv_batch(1024, 8).data
    assert sent == [2000]
    assert received == expected


@pytest.mark.parametrize("name", ["join_at_once", "join_bytes"])
def test_both_ways_of_joining(name: str) -> None:
    """Bytes are joined by either way, on every interpreter; what cannot be joined is left to who says why."""
    join = getattr(cut, name)
    assert join([b"a", b"", b"bc"]) == b"a" + HOLE + HOLE + b"bc"
    assert join([b"a", "b"]) is None
    assert join([b"a", 1]) is None


@pytest.mark.parametrize("name", ["splitter_by_struct", "splitter_by_index"])
@pytest.mark.parametrize("gap", [0, 4])
@pytest.mark.parametrize(("count", "each"), [(1, 3), (4, 0), (64, 1), (256, 64)])
def test_both_ways_of_splitting(name: str, count: int, each: int, gap: int) -> None:
    """Messages of one length are cut out of memory by either way, without what lies before each of them."""
    messages = [os.urandom(each) for _ in range(count)]
    data = b"".join(b"gap "[:gap] + message for message in messages)
    assert list(map(bytes, getattr(cut, name)(count, each, gap)(memoryview(data + b"more")))) == messages


def test_presets_do_not_mix(packet_pair: tuple[Any, Any]) -> None:
    """What a receive asked for is not taken for what the next one asks for, from either end of the pair."""
    one, two = packet_pair
    for from_, to in [(one, two), (two, one)] * 2:
        for size in (2, 3, 300, 2):
            from_.send_batch([b"abcd", b"efgh", b"ijkl"])
            assert shown(to.recv_batch(2, size)) == [
                plain(data[:size], truncated=size < 4) for data in (b"abcd", b"efgh")
            ]
            assert to.recv_batch(1, 4, MSG_DONTWAIT).data == [b"ijkl"]
            with pytest.raises(BlockingIOError):
                to.recv_batch(1, 4, MSG_DONTWAIT)
    with pytest.raises(TypeError, match="float"):
        two.recv_batch(2.0, 2)
    with pytest.raises(TypeError, match="bool"):
        two.recv_batch(True, 4)


def test_large_batch_is_one_call(packet_pair: tuple[Any, Any]) -> None:
    """A send may be of more packets than a receive takes."""
    one, two = packet_pair
    packets = [b"%d" % place for place in range(2500)]
    with support.in_thread(one.send_batch, packets) as sent:
        received: list[bytes] = []
        while len(received) < len(packets):
            received += two.recv_batch(1024, 8).data
    assert sent == [2500]
    assert received == packets


def test_count_is_the_most_that_is_taken(packet_pair: tuple[Any, Any]) -> None:
    """A batch takes as many packets as were asked for, or as many as are there, and leaves the others."""
    one, two = packet_pair
    one.send_batch([b"1", b"2", b"3"])
    assert two.recv_batch(2, 10).data == [b"1", b"2"]
    assert two.recv_batch(2, 10).data == [b"3"]


@pytest.mark.parametrize("size", [0, 1, 3, 4])
def test_cut_packets_are_reported(packet_pair: tuple[Any, Any], size: int) -> None:
    """A packet that is longer than the size is cut, and says so; the next one is the next one."""
    one, two = packet_pair
    packets = [b"abc", b"", b"abcd", b"a"]
    one.send_batch([b"x", *packets])
    assert two.recv_batch(1, 9).data == [b"x"]
    batch = two.recv_batch(3, size)
    assert shown(batch) == [plain(data[:size], truncated=len(data) > size) for data in packets[:3]]
    assert batch.data == [data[:size] for data in packets[:3]]
    assert two.recv_batch(3, 1).data == [b"a"]


def test_memory_ends_a_batch(packet_pair: tuple[Any, Any]) -> None:
    """A batch ends before a packet for which there might not be room, and the next one goes on."""
    one, two = packet_pair
    packets = [bytes([place]) * 60_000 for place in range(3)]
    one.send_batch(packets)
    # Room for 262144 bytes: two packets leave 142144 of it.
    assert two.recv_batch(3, 131_072).data == packets
    one.send_batch(packets)
    assert two.recv_batch(3, 150_000).data == packets[:2]
    assert two.recv_batch(3, 300_000).data == packets[2:]
    one.send_batch(packets[:2])
    assert two.recv_batch(2, 262_145).data == packets[:1]
    assert two.recv_batch(2, 262_144).data == packets[1:2]


def test_empty_batch_sends_nothing(packet_pair: tuple[Any, Any]) -> None:
    """No packet is no packet, also beside empty lists of descriptors; but not on a closed socket."""
    one, two = packet_pair
    assert one.send_batch([]) == 0
    assert one.send_batch([], fds=[], credentials=[]) == 0
    assert two.try_recv(1) is None
    one.close()
    with support.raises_errno(errno.EBADF):
        one.send_batch([])


# --- The result ---------------------------------------------------------------------------------


def test_batch_is_a_sequence(packet_pair: tuple[Any, Any]) -> None:
    """A batch is an immutable sequence of named tuples that equal plain ones."""
    one, two = packet_pair
    one.send_batch([b"a", b"b", b"c"])
    batch = two.recv_batch(5, 5)
    assert isinstance(batch, Sequence)
    assert len(batch) == 3
    assert bool(batch)
    assert type(batch[0]) is BatchPacket
    assert batch[0]._fields == ("data", "truncated", "fds", "lost", "credentials", "addr", "messages")
    assert [batch[place].data for place in (0, 2, -1, -3)] == [b"a", b"c", b"c", b"a"]
    assert [packet.data for packet in batch[1:]] == [b"b", b"c"]
    assert [packet.data for packet in reversed(batch)] == [b"c", b"b", b"a"]
    for place in (3, -4):
        with pytest.raises(IndexError, match=f"packet {place} of 3"):
            batch[place]
    for place in ("1", 1.0, None):
        with pytest.raises(TypeError, match="integer"):
            batch[place]
    with pytest.raises(TypeError):
        batch[0] = b"d"
    assert type(batch[0].fds) is OwnedFds
    assert repr(batch) == "<PacketBatch of 3>"


def test_batch_cannot_be_copied(packet_pair: tuple[Any, Any]) -> None:
    """A batch owns descriptors, so neither pickle nor copy makes a second owner."""
    one, two = packet_pair
    one.send_batch([b"a"])
    batch = two.recv_batch(1, 1)
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="PacketBatch"):
            make(batch)


# --- Waiting ------------------------------------------------------------------------------------


def test_receive_waits_for_the_first_packet_only(packet_pair: tuple[Any, Any]) -> None:
    """Without a packet it waits, times out, or says that it would block; with one it waits for no other."""
    one, two = packet_pair
    two.set_read_timeout(None)
    with support.in_thread(lambda: two.recv_batch(64, 10).data) as received:
        support.until(lambda: running(two))
        one.send(b"data")
    assert received == [[b"data"]]
    two.set_read_timeout(0.01)
    with pytest.raises(TimeoutError):
        two.recv_batch(64, 10)
    for flags, nonblocking in ((MSG_DONTWAIT, False), (0, True)):
        two.set_nonblocking(nonblocking)
        with pytest.raises(BlockingIOError):
            two.recv_batch(64, 10, flags)


def test_kernels_own_timeout_holds(packet_pair: tuple[Any, Any]) -> None:
    """Without a read timeout the kernel's SO_RCVTIMEO ends the wait, and with one it does not."""
    one, two = packet_pair
    two.set_read_timeout(None)
    two.options.receive_timeout = 0.05
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        two.recv_batch(2, 2)
    assert 0.04 < time.monotonic() - begin < support.PATIENCE / 2
    with pytest.raises(BlockingIOError):
        two.recv_batch(2, 2, MSG_DONTWAIT)
    one.send(b"x")
    assert two.recv_batch(2, 2).data == [b"x"]


def test_send_goes_on_until_all_went(packet_pair: tuple[Any, Any]) -> None:
    """A send that fills the queue waits for room."""
    one, two = packet_pair
    packets = [bytes([place % 251]) * 9000 for place in range(100)]
    one.set_write_timeout(support.PATIENCE)
    received: list[bytes] = []
    with support.in_thread(one.send_batch, packets) as sent:
        while len(received) < 100:
            received += two.recv_batch(7, 9000).data
    assert sent == [100]
    assert received == packets


@pytest.mark.parametrize("way", ["nonblocking", "flag", "timeout", "kernel"])
@pytest.mark.parametrize("beside", [{}, {"fds": [None] * 100}])
def test_send_that_would_block_tells_how_many_went(
    packet_pair: tuple[Any, Any], way: str, beside: dict[str, Any]
) -> None:
    """What went is returned; when nothing went it is raised, and the rest goes once there is room."""
    one, two = packet_pair
    packets = [bytes([place]) * 9000 for place in range(100)]
    flags = MSG_DONTWAIT if way == "flag" else 0
    one.set_nonblocking(way == "nonblocking")
    if way == "timeout":
        one.set_write_timeout(0.05)
    if way == "kernel":
        one.options.send_timeout = 0.05
    sent = one.send_batch(packets, flags, **beside)
    assert 0 < sent < 100
    with pytest.raises(TimeoutError if way in ("timeout", "kernel") else BlockingIOError):
        one.send_batch(packets[sent:], flags)
    received = two.recv_batch(100, 9000).data
    assert received == packets[: len(received)]
    assert one.send_batch(packets[sent : sent + 1], flags) == 1


@pytest.mark.parametrize("many", [False, True])
def test_named_receiver_with_a_short_queue(socket_path: str, many: bool) -> None:
    """A named datagram socket takes few packets at once, and a blocking batch waits for room again and again."""
    with UnixDatagram.bind(socket_path) as receiver, UnixDatagram.unbound() as sender:
        receiver.set_read_timeout(support.PATIENCE)
        packets = [b"%d" % place for place in range(100)]
        received: list[bytes] = []
        with support.in_thread(sender.send_batch_to, packets, [socket_path] * 100 if many else socket_path) as sent:
            while len(received) < 100:
                received += receiver.recv_batch(64, 8).data
        assert sent == [100]
        assert received == packets
        sender.set_write_timeout(0.05)
        assert 0 < sender.send_batch_to(packets, socket_path) < 100
        with pytest.raises(TimeoutError) as caught:
            sender.send_batch_to(packets, socket_path)
        assert caught.value.filename == socket_path


# --- Memory -------------------------------------------------------------------------------------


def test_pool_has_a_limit(packet_pair: tuple[Any, Any]) -> None:
    """What is kept for further calls is used again, and is at most 1 MiB; more is dropped."""
    one, two = packet_pair
    batchmemory._pool.clear()
    kinds: list[dict[str, Any]] = [{}, {"max_fds": 3, "addresses": True}]
    for count, size in ((1, 1), (1024, 65_536), (8, 1000), (1, 2**21), (1024, 1)):
        for keywords in kinds:
            one.send(b"x")
            assert two.recv_batch(count, size, **keywords).data == [b"x"]
            assert sum(kept.kept for kept in batchmemory._pool) <= batchmemory.POOL_SIZE
    (kept,) = batchmemory._pool[-1:]
    one.send(b"x")
    two.recv_batch(1024, 1)
    assert batchmemory._pool[-1] is kept


def test_pool_is_empty_in_a_child(packet_pair: tuple[Any, Any]) -> None:
    """The child of a fork begins without the memory of its parent, and batches work there."""
    one, two = packet_pair
    one.send(b"x")
    two.recv_batch(1, 1)
    assert batchmemory._pool

    def child() -> None:
        assert batchmemory._pool == []
        one.send_batch([b"y", b"z"])
        assert two.recv_batch(2, 1).data == [b"y", b"z"]

    support.run_child(child)


def test_threads_have_memory_of_their_own(packet_pair: tuple[Any, Any]) -> None:
    """Threads that receive at the same time get each packet once, and whole."""
    one, two = packet_pair
    total = 3000

    def read() -> list[bytes]:
        received: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            while True:
                received += two.recv_batch(16, 8).data
        return received

    two.set_read_timeout(0.5)
    packets = [b"%d" % place for place in range(total)]
    with support.in_thread(read) as first, support.in_thread(read) as second:
        assert one.send_batch(packets) == total
    assert sorted(first[0] + second[0]) == sorted(packets)
