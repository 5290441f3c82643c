"""Pass a descriptor with nothing but ``ffi`` and ``lib``: C's structs, and the system calls under their own names.

Here the program owns everything itself: the memory behind each pointer, each descriptor, and each error code.
"""

import os

from uds_cffi import ffi, lib

INT = ffi.sizeof("int")
# A constant that this build lacks is -1, and its UDS_HAS_ companion is 0.
CLOEXEC = lib.SOCK_CLOEXEC if lib.UDS_HAS_ATOMIC_CLOEXEC else 0
CMSG_CLOEXEC = lib.MSG_CMSG_CLOEXEC if lib.UDS_HAS_ATOMIC_CLOEXEC else 0


def checked(result: int) -> int:
    """Return the result of a call, or raise: every call returns its result or the negated errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def send_descriptor(sock: int, data: bytes, fd: int) -> int:
    """Send bytes with one descriptor."""
    # Each of these variables keeps memory alive that the message points to.
    payload = ffi.from_buffer(data)
    iov = ffi.new("struct iovec *", {"iov_base": payload, "iov_len": len(data)})
    control = ffi.new("char[]", lib.CMSG_SPACE(INT))
    message = ffi.new("struct msghdr *")
    message.msg_iov, message.msg_iovlen = iov, 1
    message.msg_control, message.msg_controllen = control, len(control)
    header = lib.CMSG_FIRSTHDR(message)
    header.cmsg_level, header.cmsg_type = lib.SOL_SOCKET, lib.SCM_RIGHTS
    header.cmsg_len = lib.CMSG_LEN(INT)
    ffi.cast("int *", lib.CMSG_DATA(header))[0] = fd
    # The raw calls add no flags: without MSG_NOSIGNAL a stream whose peer is gone raises SIGPIPE.
    return checked(lib.uds_sendmsg(sock, message, lib.MSG_NOSIGNAL))


def receive_descriptors(sock: int, size: int) -> "tuple[bytes, list[int]]":
    """Receive bytes and all descriptors that came with them; the caller owns these."""
    payload = ffi.new("char[]", size)
    iov = ffi.new("struct iovec *", {"iov_base": payload, "iov_len": size})
    control = ffi.new("char[]", lib.CMSG_SPACE(lib.UDS_SCM_MAX_FD * INT))
    message = ffi.new("struct msghdr *")
    message.msg_iov, message.msg_iovlen = iov, 1
    message.msg_control, message.msg_controllen = control, len(control)
    count = checked(lib.uds_recvmsg(sock, message, CMSG_CLOEXEC))
    fds = []
    header = lib.CMSG_FIRSTHDR(message)
    while header != ffi.NULL:
        if header.cmsg_level == lib.SOL_SOCKET and header.cmsg_type == lib.SCM_RIGHTS:
            numbers = ffi.cast("int *", lib.CMSG_DATA(header))
            # cmsg_len says how many came, which may be more than were expected.
            fds += [numbers[place] for place in range((header.cmsg_len - lib.CMSG_LEN(0)) // INT)]
        header = lib.CMSG_NXTHDR(message, header)
    if not CMSG_CLOEXEC:
        for fd in fds:
            checked(lib.uds_fcntl(fd, lib.F_SETFD, lib.FD_CLOEXEC))
    print(f"control messages were cut: {bool(message.msg_flags & lib.MSG_CTRUNC)}")
    return ffi.unpack(payload, count), fds


def main() -> None:
    """Send the reading end of a pipe over a pair of stream sockets."""
    pair = ffi.new("int[2]")
    checked(lib.uds_socketpair(lib.AF_UNIX, lib.SOCK_STREAM | CLOEXEC, 0, pair))
    read_end, write_end = os.pipe()
    os.write(write_end, b"through the pipe")
    print(f"sent {send_descriptor(pair[0], b'a pipe', read_end)} bytes")
    os.close(read_end)
    data, fds = receive_descriptors(pair[1], 100)
    print(f"received {data!r} with {len(fds)} descriptor, from which one reads {os.read(fds[0], 100)!r}")

    error = lib.uds_recv(pair[1], ffi.new("char[1]"), 1, lib.MSG_DONTWAIT)
    print(f"a call that would block returned -EAGAIN: {error == -lib.EAGAIN}")
    for fd in [*fds, write_end, *pair]:
        checked(lib.uds_close(fd))


if __name__ == "__main__":
    main()
