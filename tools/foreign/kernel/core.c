/* What all parts of the stand-in need: its end, numbers, what is known of a socket; and the calls that are no socket's
   alone. */
#define _GNU_SOURCE
#include "kernel.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

/* Says what was wrong, on stderr and, because a test run may have taken that away, in a file; and ends the process. */
_Noreturn void foreign_stop(const char *call, const char *what, long number)
{
    char text[256];
    const char *path = getenv("UDS_FOREIGN_REPORT");
    int size = snprintf(text, sizeof text, "stand-in for %s: %s(): %s: %ld (0x%lx)\n", kernel.name, call, what, number,
                        (unsigned long)number);
    if (write(2, text, (size_t)size) < 0)
        abort();
    if (path != NULL) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0 || write(fd, text, (size_t)size) < 0)
            abort();
    }
    abort();
}

/* Turns a set of flags into Linux's. */
int to_ours(const struct number *list, int theirs, const char *call, const char *what)
{
    int ours = 0;
    for (; list->theirs != 0; list++) {
        if ((theirs & list->theirs) != list->theirs)
            continue;
        ours |= list->ours;
        theirs &= ~list->theirs;
    }
    if (theirs != 0)
        foreign_stop(call, what, theirs);
    return ours;
}

/* Turns a set of flags that the kernel reports into theirs; what they have no flag for is left out. */
int to_theirs(const struct number *list, int ours)
{
    int theirs = 0;
    for (; list->theirs != 0; list++)
        if (ours & list->ours)
            theirs |= list->theirs;
    return theirs;
}

/* --- What is known of a socket --- */

/* No AF_UNIX socket of Linux is paced; the rate is a number of 64 bits that says "as fast as it can" with all ones. */
unsigned foreign_state(int fd)
{
    uint64_t rate = ~(uint64_t)0;
    socklen_t length = sizeof rate;
    if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &length) < 0 || length != sizeof rate)
        return 0;
    return (unsigned)~rate;
}

void foreign_set_state(int fd, unsigned bits, int on)
{
    unsigned state = foreign_state(fd);
    uint64_t rate = ~(uint64_t)(on ? state | bits : state & ~bits);
    if (setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate) < 0)
        foreign_stop("setsockopt", "Linux keeps no state for this descriptor, errno", errno);
}

int foreign_type(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ? -1 : type;
}

/* --- Calls --- */

int *foreign_errno(void)
{
    return &errno;
}

/* F_DUPFD, F_GETFD, F_SETFD, F_GETFL and F_SETFL have one number everywhere. */
int foreign_fcntl(int fd, int command, ...)
{
    va_list rest;
    int argument;

    va_start(rest, command);
    argument = command == F_GETFD || command == F_GETFL ? 0 : va_arg(rest, int);
    va_end(rest);
    if (command == kernel.dup_command)
        command = F_DUPFD_CLOEXEC;
    else if (command < F_DUPFD || command > F_SETFL)
        foreign_stop("fcntl", "unknown command", command);
    return fcntl(fd, command, argument);
}

int foreign_ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    void *argument;

    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    /* FIONREAD */
    if (request != 0x4004667f)
        foreign_stop("ioctl", "unknown request", (long)request);
    return ioctl(fd, FIONREAD, argument);
}

int foreign_clock_gettime(int clock, struct timespec *now)
{
    if (clock != kernel.monotonic)
        foreign_stop("clock_gettime", "unknown clock", clock);
    return clock_gettime(CLOCK_MONOTONIC, now);
}

/* A datagram socket can always be written to, as far as they say; whether the peer has room, the send tells. */
int foreign_poll(struct pollfd *fds, unsigned count, int milliseconds)
{
    const struct number bits[] = {{POLLIN, POLLIN},     {POLLPRI, POLLPRI},           {POLLOUT, POLLOUT},
                                  {POLLERR, POLLERR},   {POLLHUP, POLLHUP},           {POLLNVAL, POLLNVAL},
                                  {kernel.hung_up, POLLRDHUP}, {0, 0}};
    struct pollfd *ours;
    int result, ready = 0;
    unsigned each;

    /* More than a process may open. */
    ours = count > 65536 ? NULL : calloc(count + 1, sizeof *ours);
    if (ours == NULL) {
        errno = EINVAL;
        return -1;
    }
    for (each = 0; each < count; each++) {
        ours[each].fd = fds[each].fd;
        ours[each].events = (short)to_ours(bits, fds[each].events & 0xffff, "poll", "unknown event");
        if ((ours[each].events & POLLOUT) && foreign_type(fds[each].fd) == SOCK_DGRAM)
            ready = 1;
    }
    result = poll(ours, count, ready ? 0 : milliseconds);
    for (each = 0; result >= 0 && each < count; each++) {
        int was = ours[each].revents;
        fds[each].revents = (short)to_theirs(bits, was);
        if ((ours[each].events & POLLOUT) && !(was & POLLNVAL) && foreign_type(fds[each].fd) == SOCK_DGRAM)
            fds[each].revents |= POLLOUT;
        result += was == 0 && fds[each].revents != 0;
    }
    free(ours);
    return result;
}
