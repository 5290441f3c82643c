"""The memory of batches between calls: what is left in it, and what is made of packets of any kind.

Rule: nothing of one call is seen by the next, whatever ended it.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

from uds_cffi import batching, batchmemory


def test_memory_goes_back_to_others(packet_pair: tuple[Any, Any]) -> None:
    """A receive that finds more memory in the pool than it needs puts its own back beside that."""
    one, two = packet_pair
    batchmemory._pool.clear()
    # As two threads leave it that were receiving at the same time.
    for memory in [batchmemory.borrow_batch() for _ in range(2)]:
        batchmemory.return_batch(memory)
    for _ in range(3):
        one.send_batch([b"ab"] * 4)
        assert two.recv_batch(4, 2).data == [b"ab"] * 4
    assert len(batchmemory._pool) == 2


def test_error_of_a_handler_leaves_no_descriptor(
    packet_pair: tuple[Any, Any], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors are closed when a handler raises OSError behind their receive, and the memory is given up."""
    one, two = packet_pair
    receive, results = batching.receive_batch, []

    def interrupted(c: Any) -> int:
        if not results:
            results.append(-errno.EAGAIN)
            return results[0]
        results.append(receive(c))
        raise ConnectionError("of a handler")

    batchmemory._pool.clear()
    one.send_batch([b"x"], fds=[[number]])
    monkeypatch.setattr(batching, "receive_batch", interrupted)
    with pytest.raises(ConnectionError, match="of a handler"):
        two.recv_batch(1, 1, max_fds=1)
    monkeypatch.undo()
    assert results == [-errno.EAGAIN, 1]
    assert not batchmemory._pool
    one.send_batch([b"y"], fds=[[number]])
    with two.recv_batch(1, 1, max_fds=1) as batch:
        assert [(packet.data, len(packet.fds)) for packet in batch] == [(b"y", 1)]
    assert len(batchmemory._pool) == 1


def test_packets_of_all_kinds_beside_descriptors(packet_pair: tuple[Any, Any], number: int) -> None:
    """With descriptors, too, packets are any iterable of bytes-like objects, and what is wrong is named."""
    one, two = packet_pair
    packets = (b"a", bytearray(b"bc"), memoryview(b"defg"))
    assert one.send_batch(iter(packets), fds=[None, [number], None]) == 3
    with two.recv_batch(3, 8, max_fds=1) as batch:
        assert batch.data == [b"a", b"bc", b"defg"]
    with pytest.raises(BufferError, match="packet 1 is memoryview"):
        one.send_batch([b"a", memoryview(b"defg")[::2]], fds=[None, None])
    with pytest.raises(TypeError, match="packet 0 is str"):
        one.send_batch(["a", b"b"], fds=[None, None])
