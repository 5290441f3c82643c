/* The system calls, bare.

   Rule: a function here makes one system call and returns its result or -errno.  None retries EINTR: Python must
   run its signal handlers first, or Ctrl-C would hang. */
#ifndef UDS_CALLS_C
#define UDS_CALLS_C
#include "constants.c"

#define UDS_SOCKADDR(address) ((struct sockaddr *)(void *)(address))
#define UDS_CONST_SOCKADDR(address) ((const struct sockaddr *)(const void *)(address))

UDS_FUNCTION int uds_socket(int domain, int type, int protocol)
{
    return UDS_RESULT(socket(domain, type, protocol));
}

UDS_FUNCTION int uds_socketpair(int domain, int type, int protocol, int *sv)
{
    return UDS_RESULT(socketpair(domain, type, protocol, sv));
}

UDS_FUNCTION int uds_bind(int fd, const struct sockaddr_un *address, socklen_t length)
{
    return UDS_RESULT(bind(fd, UDS_CONST_SOCKADDR(address), length));
}

UDS_FUNCTION int uds_connect(int fd, const struct sockaddr_un *address, socklen_t length)
{
    return UDS_RESULT(connect(fd, UDS_CONST_SOCKADDR(address), length));
}

UDS_FUNCTION int uds_listen(int fd, int backlog)
{
    return UDS_RESULT(listen(fd, backlog));
}

UDS_FUNCTION int uds_accept(int fd, struct sockaddr_un *address, socklen_t *length)
{
    return UDS_RESULT(accept(fd, UDS_SOCKADDR(address), length));
}

UDS_FUNCTION int uds_accept4(int fd, struct sockaddr_un *address, socklen_t *length, int flags)
{
#if UDS_HAS_ATOMIC_CLOEXEC
    return UDS_RESULT(accept4(fd, UDS_SOCKADDR(address), length, flags));
#else
    (void)fd;
    (void)address;
    (void)length;
    (void)flags;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_getsockname(int fd, struct sockaddr_un *address, socklen_t *length)
{
    return UDS_RESULT(getsockname(fd, UDS_SOCKADDR(address), length));
}

UDS_FUNCTION int uds_getpeername(int fd, struct sockaddr_un *address, socklen_t *length)
{
    return UDS_RESULT(getpeername(fd, UDS_SOCKADDR(address), length));
}

UDS_FUNCTION int uds_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    return UDS_RESULT(getsockopt(fd, level, name, value, length));
}

UDS_FUNCTION int uds_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    return UDS_RESULT(setsockopt(fd, level, name, value, length));
}

UDS_FUNCTION int uds_shutdown(int fd, int how)
{
    return UDS_RESULT(shutdown(fd, how));
}

UDS_FUNCTION ssize_t uds_send(int fd, const void *data, size_t size, int flags)
{
    return UDS_RESULT(send(fd, data, size, flags));
}

UDS_FUNCTION ssize_t uds_sendto(int fd, const void *data, size_t size, int flags,
                                const struct sockaddr_un *address, socklen_t length)
{
    return UDS_RESULT(sendto(fd, data, size, flags, UDS_CONST_SOCKADDR(address), length));
}

UDS_FUNCTION ssize_t uds_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return UDS_RESULT(sendmsg(fd, message, flags));
}

UDS_FUNCTION ssize_t uds_recv(int fd, void *data, size_t size, int flags)
{
    return UDS_RESULT(recv(fd, data, size, flags));
}

UDS_FUNCTION ssize_t uds_recvfrom(int fd, void *data, size_t size, int flags,
                                  struct sockaddr_un *address, socklen_t *length)
{
    return UDS_RESULT(recvfrom(fd, data, size, flags, UDS_SOCKADDR(address), length));
}

UDS_FUNCTION ssize_t uds_recvmsg(int fd, struct msghdr *message, int flags)
{
    return UDS_RESULT(recvmsg(fd, message, flags));
}

UDS_FUNCTION int uds_fcntl(int fd, int command, int argument)
{
    return UDS_RESULT(fcntl(fd, command, argument));
}

/* A duplicate that is close-on-exec from birth. */
UDS_FUNCTION int uds_dup(int fd)
{
    return UDS_RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

UDS_FUNCTION int uds_poll(struct pollfd *fds, unsigned int count, int milliseconds)
{
    return UDS_RESULT(poll(fds, count, milliseconds));
}

UDS_FUNCTION int uds_close(int fd)
{
    return UDS_RESULT(close(fd));
}

/* Where no flag of a send keeps SIGPIPE away, the socket itself must.  What is no socket refuses the option, and so
   does macOS on a socket that is shut down, on which nothing can be sent any more. */
UDS_FUNCTION void uds_prevent_sigpipe(int fd)
{
#if UDS_SETS_NOSIGPIPE
    static const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#else
    (void)fd;
#endif
}

/* Sets FD_CLOEXEC and the wanted O_NONBLOCK on a descriptor that was born without them. */
UDS_FUNCTION int uds_set_birth_flags(int fd, int nonblocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    flags = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return UDS_RESULT(fcntl(fd, F_SETFL, flags));
}

#endif
