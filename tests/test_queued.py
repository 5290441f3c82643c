"""What is queued: what the kernel counts for unread_bytes() and unsent_bytes()."""

from __future__ import annotations

import pytest
import support

from uds_cffi import FeatureUnavailable, UnixDatagram, UnixStream


@pytest.fixture
def streams():
    """Two connected streams."""
    left, right = UnixStream.pair()
    with left, right:
        yield left, right


@support.needs("unsent_bytes")
@pytest.mark.parametrize("kind", support.TYPES)
def test_unsent_bytes(kind):
    """It grows with each send, by more than the bytes, stays below the send buffer, and is 0 once all is read."""
    left, right = kind.pair()
    with left, right:
        assert left.unsent_bytes() == 0
        seen = [0]
        for _ in range(3):
            left.send(b"x")
            seen.append(left.unsent_bytes())
        assert all(later > before + 1 for before, later in zip(seen, seen[1:]))
        assert seen[-1] < left.options.send_buffer
        assert right.unsent_bytes() == 0
        for _ in range(3):
            right.recv(1)
        assert left.unsent_bytes() == 0
        left.send(b"unread")
        right.close()
        assert left.unsent_bytes() == 0


@support.lacks("unsent_bytes")
def test_unsent_bytes_are_absent(streams):
    """Where the system does not tell, that is FeatureUnavailable."""
    with pytest.raises(FeatureUnavailable) as caught:
        streams[0].unsent_bytes()
    assert (caught.value.feature, caught.value.reason) == ("unsent_bytes", "not built")


def test_what_unread_bytes_counts(streams):
    """A stream counts all bytes, datagrams the first packet only, also when that is empty."""
    left, right = streams
    left.send(b"abc")
    left.send(b"de")
    assert right.unread_bytes() == 5
    one, two = UnixDatagram.pair()
    with one, two:
        one.send(b"")
        one.send(b"abc")
        assert two.unread_bytes() == 0
        two.recv(1)
        assert two.unread_bytes() == 3
