"""PidFd: a descriptor of a process (pidfd_open(2)).

Rules:
- A pidfd stands for one process for ever: the pid may be another's later, and the descriptor never is.
- What the kernel did not say is None.  A process that nobody can ask about any more is ProcessLookupError, a kernel
  that does not know the question is FeatureUnavailable, and the two are never taken for each other.
"""

from __future__ import annotations

import errno
import os

from . import calls
from ._lib import ffi, lib
from .calls import check
from .capabilities import require
from .errors import FeatureUnavailable, error
from .fd import OwnedFd
from .values import Value
from .waiting import check_timeout, deadline_of, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

    from ._lib import CData
    from .owner import Owner

# Tests play older kernels by replacing these.
pidfd_open = lib.uds_handle_pidfd_open
pidfd_info = lib.uds_handle_pidfd_info
pidfd_pid = lib.uds_handle_pidfd_pid
pidfd_same = lib.uds_handle_pidfd_same
peer_pidfd = lib.uds_handle_peer_pidfd

_INFO = ffi.typeof("struct uds_pidfd_info *")
# The fields of PidFdInfo in their order, with the bit of the mask that says that the kernel filled them in.
_FIELDS = (
    (("pid", "tgid", "ppid"), lib.UDS_PIDFD_INFO_PID),
    (("ruid", "rgid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid"), lib.UDS_PIDFD_INFO_CREDS),
    (("cgroupid",), lib.UDS_PIDFD_INFO_CGROUPID),
    (("exit_code",), lib.UDS_PIDFD_INFO_EXIT),
    (("coredump_mask",), lib.UDS_PIDFD_INFO_COREDUMP),
)
_ALL = sum(bit for _, bit in _FIELDS)
# Before 6.13 a pidfd has no such ioctl; 6.11 and 6.12 refuse its argument before they look at the number.
_NO_INFO = (-errno.ENOTTY, -errno.EINVAL)
# The process was reaped, or is in a pid namespace that is not visible from here.
_NOBODY = (-errno.ESRCH, -errno.EREMOTE)


class PidFdInfo(Value):
    """What the kernel knows of a process (PIDFD_GET_INFO, Linux 6.13), at the time of the call.

    Unlike ``ConnCredentials`` it is about now: a setuid(2) since the connection was made shows.  What this kernel did
    not fill in is None: all but the last three when the process was reaped, ``wait_status`` before that.

    Attributes:
        pid: process id (int).
        tgid: thread group id (int), the same unless the pidfd is a thread's.
        ppid: process id of the parent (int); 0 when it is not visible from here.
        ruid: real user id (int); the kernel's 65534 stands for an id without a mapping here, also below.
        rgid: real group id (int).
        euid: effective user id (int).
        egid: effective group id (int).
        suid: saved user id (int).
        sgid: saved group id (int).
        fsuid: user id for the file system (int).
        fsgid: group id for the file system (int).
        cgroup_id: id of its cgroup: the inode number of the directory (int).
        wait_status: how it ended, as waitpid(2) has it (int; Linux 6.15), once it was reaped.
        coredump_mask: PIDFD_COREDUMPED (1), PIDFD_COREDUMP_SKIP (2), PIDFD_COREDUMP_USER (4) and PIDFD_COREDUMP_ROOT
            (8) of <linux/pidfd.h> (int; Linux 6.16).
    """

    __slots__ = (
        "pid",
        "tgid",
        "ppid",
        "ruid",
        "rgid",
        "euid",
        "egid",
        "suid",
        "sgid",
        "fsuid",
        "fsgid",
        "cgroup_id",
        "wait_status",
        "coredump_mask",
    )

    pid: int | None
    tgid: int | None
    ppid: int | None
    ruid: int | None
    rgid: int | None
    euid: int | None
    egid: int | None
    suid: int | None
    sgid: int | None
    fsuid: int | None
    fsgid: int | None
    cgroup_id: int | None
    wait_status: int | None
    coredump_mask: int | None

    def __init__(
        self,
        pid: int | None = None,
        tgid: int | None = None,
        ppid: int | None = None,
        ruid: int | None = None,
        rgid: int | None = None,
        euid: int | None = None,
        egid: int | None = None,
        suid: int | None = None,
        sgid: int | None = None,
        fsuid: int | None = None,
        fsgid: int | None = None,
        cgroup_id: int | None = None,
        wait_status: int | None = None,
        coredump_mask: int | None = None,
    ) -> None:
        self._set(
            pid=pid,
            tgid=tgid,
            ppid=ppid,
            ruid=ruid,
            rgid=rgid,
            euid=euid,
            egid=egid,
            suid=suid,
            sgid=sgid,
            fsuid=fsuid,
            fsgid=fsgid,
            cgroup_id=cgroup_id,
            wait_status=wait_status,
            coredump_mask=coredump_mask,
        )

    @property
    def exit_code(self) -> int | None:
        """What it exited with, or the negative number of the signal that ended it (int), or None, as wait_status."""
        return None if self.wait_status is None else os.waitstatus_to_exitcode(self.wait_status)


class PidFd(OwnedFd):
    """A descriptor of a process, with an owner.

    ``PidFd(number)`` takes an open pidfd (int) over, as ``OwnedFd(number)`` does.  ``PidFd.from_pid()`` opens one,
    ``peer_pidfd()`` of a connected socket is the peer's, and with ``options.pass_pidfd`` each message brings its
    sender's.

    poll(2), epoll(7) and whatever is built on them call ``fileno()`` readable once the process has ended.
    """

    __slots__ = ()

    def __init__(self, number: int) -> None:
        """Take over an open pidfd.

        Raises:
            TypeError: the number is not an int.
            OSError: EBADF, it is not open.
            ValueError: it is open and no pidfd.  The caller's number is untouched by all of these.
            FeatureUnavailable: "pidfd", where the system has none.
        """
        _check_pidfd(number)
        super().__init__(number)

    @classmethod
    def from_pid(cls, pid: int) -> Self:
        """Open a pidfd of a process (pidfd_open(2), Linux 5.3), close-on-exec.

        A pid may be another process's by the time of the call, unless it is a child that the caller has not waited
        for.

        Raises:
            TypeError, ValueError: the pid is not a positive int.
            ProcessLookupError: there is no such process.
            OSError: EMFILE, this process may open no more; what pidfd_open(2) reports, for example for a thread.
            FeatureUnavailable: "pidfd", where the system has none.
        """
        if type(pid) is not int:
            raise TypeError(f"a pid is an int, not {type(pid).__name__}")
        if not 0 < pid < 2**31:
            raise ValueError(f"a pid is within 1 to 2147483647, not {pid}")
        require("pidfd")
        self = cls._empty()
        result = pidfd_open(self._handle, pid)
        if result == -errno.ENOSYS:
            raise FeatureUnavailable("pidfd", "kernel")
        check(result)
        return self

    @classmethod
    def _take(cls, owned: Owner) -> Self:
        """Take a descriptor over from its owner, in one step."""
        _check_pidfd(owned.fileno())
        self = cls._empty()
        check(calls.move(owned._handle, self._handle))
        return self

    def pid(self) -> int | None:
        """Return the process's id (int), or None when it was reaped or is in a pid namespace not visible from here.

        Asked of PIDFD_GET_INFO (Linux 6.13), or of ``/proc/self/fdinfo``.  Once the process was reaped its pid may be
        another's; a zombie still has it.

        Raises:
            OSError: EBADF when closed; what prevents reading ``/proc`` on an older kernel.
        """
        return check(self._pid_or_code()) or None

    def _pid_or_code(self) -> int:
        """Return the pid, 0 for one that cannot be seen, or -errno."""
        info = ffi.new(_INFO)
        info.mask = lib.UDS_PIDFD_INFO_PID
        result = pidfd_info(self._handle, info)
        if result in _NO_INFO:
            return pidfd_pid(self._handle)
        if result in _NOBODY:
            return 0
        return result if result < 0 else info.pid

    def info(self) -> PidFdInfo:
        """Return what the kernel knows of the process now (PIDFD_GET_INFO, Linux 6.13).

        Raises:
            FeatureUnavailable: "pidfd_info", where this kernel or build has no such call.
            ProcessLookupError: the process is in a pid namespace not visible from here, or was reaped on Linux 6.13 or
                6.14, which tell nothing of it any more.
            OSError: EBADF when closed.
        """
        require("pidfd_info")
        info = ffi.new(_INFO)
        info.mask = _ALL
        result = pidfd_info(self._handle, info)
        if result in _NO_INFO:
            raise FeatureUnavailable("pidfd_info", "kernel", -result)
        if result in _NOBODY:
            raise error(errno.ESRCH)
        check(result)
        return _read_info(info)

    def is_alive(self) -> bool:
        """Return whether the process has not ended yet (bool): a zombie, which nobody has waited for, has.

        Raises:
            OSError: EBADF when closed.
        """
        seen = calls.wait(self._handle, calls.POLLIN, 0)
        # poll(2) has looked before it says that a signal is pending.
        return seen == -errno.EINTR or check(seen) == 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process has ended, whoever's child it is; nothing is reaped.

        Args:
            timeout: seconds (float), or None to wait for ever.

        Returns:
            True when it has ended, False when the time is over.

        Raises:
            TypeError, ValueError: not a number; zero, negative, infinite.
            OSError: EBADF when closed.  Closing does not wake a call that is waiting.
        """
        deadline = deadline_of(check_timeout(timeout))
        if not self.is_alive():
            return True
        seen = wait(self._handle, calls.POLLIN, deadline)
        if seen == -errno.ETIMEDOUT:
            # It may have ended while a signal handler ran until now.
            return not self.is_alive()
        return check(seen) != 0

    def send_signal(self, number: Any) -> None:
        """Send a signal to the process, and to no other that has its pid by now (pidfd_send_signal(2), Linux 5.1).

        Args:
            number: such as ``signal.SIGTERM`` (int); 0 only asks whether it could be sent.

        Raises:
            TypeError, ValueError: no int, or no signal's number.
            ProcessLookupError: the process was reaped.
            PermissionError: the caller may not send it a signal.
            OSError: EBADF when closed; EINVAL, the process is in a pid namespace that is not below the caller's.
        """
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeError(f"a signal is an int, not {type(number).__name__}")
        if not 0 <= number <= lib.UDS_LAST_SIGNAL:
            raise ValueError(f"a signal is within 0 to {lib.UDS_LAST_SIGNAL}, not {int(number)}")
        check(lib.uds_handle_pidfd_signal(self._handle, number))

    def same_process_as(self, other: PidFd) -> bool:
        """Return whether both are of the same process, alive or not (bool).

        Since Linux 6.9 each process has a file in the kernel's pidfs, which is never used for another: what is compared
        is device and inode.  Before that all pidfds are one file, and the pids are compared, which tells as long as
        the two have not both been reaped.

        Raises:
            TypeError: not a PidFd.
            FeatureUnavailable: "pidfd_identity", the two cannot be compared: before Linux 6.9, and neither has a pid.
            OSError: EBADF when one is closed.
        """
        if not isinstance(other, PidFd):
            raise TypeError(f"a PidFd is compared with a PidFd, not {type(other).__name__}")
        result = pidfd_same(self._handle, other._handle)
        if result != -errno.EOPNOTSUPP:
            return bool(check(result))
        mine, others = self.pid(), other.pid()
        if others is None and mine is not None:
            # Both may have been reaped between the two questions, and be the same.
            mine = self.pid()
        if mine is None and others is None:
            raise FeatureUnavailable("pidfd_identity", "kernel", errno.EOPNOTSUPP)
        # A pid that was lost never comes back: when one has a pid now, both had theirs at the first question.
        return mine == others

    def __repr__(self) -> str:
        number = self.fileno()
        if number < 0:
            return "<PidFd closed>"
        pid = self._pid_or_code()
        if pid < 0:
            return f"<PidFd {number} ({error(-pid)})>"
        return f"<PidFd {number} pid={pid or None}>"


def _check_pidfd(number: Any) -> None:
    """Raise unless this is the number of an open pidfd; what is no number is left to OwnedFd."""
    require("pidfd")
    if type(number) is int and 0 <= number < 2**31:
        result = lib.uds_pidfd_check(number)
        if result == -errno.EINVAL:
            raise ValueError(f"descriptor {number} is no pidfd")
        check(result)


def _read_info(info: CData) -> PidFdInfo:
    """Turn the struct into a value, without what its mask leaves out."""
    mask = info.mask
    fields: list[int | None] = []
    for names, bit in _FIELDS:
        known = mask & bit and (bit != lib.UDS_PIDFD_INFO_PID or info.pid)
        fields += [getattr(info, name) if known else None for name in names]
    return PidFdInfo(*fields)


def pidfd_error(code: int) -> OSError:
    """Make the error for a process that has no pidfd."""
    # Linux 6.5 to 6.15 say EINVAL, some of them ESRCH, of one that was reaped.
    return error(errno.ESRCH if code == errno.EINVAL else code)


def pidfd_of_peer(handle: CData) -> PidFd:
    """Return a pidfd of the peer of a connection; three reasons why there is none are three errors."""
    require("peer_pidfd")
    peer = PidFd._empty()
    result = peer_pidfd(handle, peer._handle)
    if result == -errno.ENOPROTOOPT:
        raise FeatureUnavailable("peer_pidfd", "kernel", errno.ENOPROTOOPT)
    if result == -errno.ENODATA:
        raise error(errno.ENOTCONN)
    if result in (-errno.ESRCH, -errno.EINVAL):
        # Some kernels say the same of a socket that has no peer; that is ENOTCONN here.
        calls.peer_credentials(handle)
        raise pidfd_error(-result)
    check(result)
    return peer
