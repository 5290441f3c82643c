"""Values: frozen, and equal when their type and content are."""

from __future__ import annotations

import copy
import pickle

import pytest

from uds_cffi import (
    ConnCredentials,
    Credentials,
    OwnedFds,
    ScmCredentials,
    ScmRights,
    UnixSocketAddr,
    UnknownControlMessage,
)
from uds_cffi.values import Closing

VALUES = [
    ConnCredentials(1, 2, 3, (4, 5)),
    ConnCredentials(),
    Credentials(1, 2, 3),
    ScmCredentials(1, 2, 3),
    ScmCredentials(None, 65534, 65534),
    UnknownControlMessage(1, 2, b"data"),
    UnixSocketAddr("/path"),
    UnixSocketAddr.unnamed(),
]

values = pytest.mark.parametrize("value", VALUES, ids=repr)


@values
def test_copies_are_equal(value):
    """A copy equals its value and hashes alike, however it was made."""
    copies = [copy.copy(value), copy.deepcopy(value)]
    copies += [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]

    for made in copies:
        assert type(made) is type(value)
        assert made == value
        assert (made != value) is False
        assert hash(made) == hash(value)
        assert repr(made) == repr(value)


@values
def test_fields_cannot_be_changed(value):
    """A value refuses to have a field set, added or deleted, and says which."""
    names = [name for name in type(value)._names or type(value).__slots__ if not name.startswith("_")]
    assert names

    for name in [*names, "unheard_of"]:
        with pytest.raises(AttributeError, match=rf"{type(value).__name__} is immutable: cannot set '{name}'"):
            setattr(value, name, 1)
        with pytest.raises(AttributeError, match=rf"{type(value).__name__} is immutable: cannot delete '{name}'"):
            delattr(value, name)


def test_different_values_differ():
    """Values of one type are equal only when all their fields are."""
    assert len(set(VALUES)) == len(VALUES)
    for index, value in enumerate(VALUES):
        assert VALUES.index(value) == index


def test_types_differ():
    """Values of different types are never equal, whatever their fields are."""
    assert Credentials(1, 2, 3) != ScmCredentials(1, 2, 3)
    assert Credentials(1, 2, 3) != (1, 2, 3)
    assert UnixSocketAddr("/path") != "/path"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ConnCredentials(1, 2, 3, (4,)), "ConnCredentials(pid=1, euid=2, egid=3, groups=(4,))"),
        (Credentials(1, 2, 3), "Credentials(pid=1, uid=2, gid=3)"),
        (ScmCredentials(None, 2, 3), "ScmCredentials(pid=None, uid=2, gid=3)"),
        (UnknownControlMessage(1, 2, b"x"), "UnknownControlMessage(level=1, type=2, data=b'x')"),
    ],
)
def test_repr_names_the_fields(value, text):
    """A value shows its type and each field."""
    assert repr(value) == text


def test_value_that_owns_cannot_be_pickled():
    """A value with descriptors in it stays in its process."""
    with pytest.raises(TypeError):
        pickle.dumps(ScmRights(OwnedFds()))


# --- What has a close() -------------------------------------------------------------------------


def test_leaving_the_block_closes():
    """A ``with`` block gives the object itself, and closes it at its end, also after an error."""

    class Door(Closing):
        shut = 0

        def close(self) -> None:
            self.shut += 1

    door = Door()
    with door as same:
        assert same is door
        assert door.shut == 0
    assert door.shut == 1
    with pytest.raises(KeyError, match="kept"), door:
        raise KeyError("kept")
    assert door.shut == 2


def test_each_type_says_how_it_closes():
    """The base alone cannot be closed."""
    with pytest.raises(NotImplementedError):
        Closing().close()
