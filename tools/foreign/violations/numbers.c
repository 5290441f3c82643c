/* Numbers of Linux, each of which ends the process. */
#include "violations.h"

static int stray_send_flag(void)
{
    return (int)send(one, "x", 1, 0x4000);
}

static int stray_receive_flag(void)
{
    return (int)recv(one, &byte, 1, 0x40000000);
}

static int stray_option(void)
{
    int on = 1;
    return setsockopt(one, SOL_SOCKET, 16, &on, sizeof on);
}

static int stray_level(void)
{
    int type;
    socklen_t length = sizeof type;
    return getsockopt(one, 1, 3, &type, &length);
}

static int stray_type(void)
{
    return socket(AF_UNIX, SOCK_STREAM | 0x80000, 0);
}

static int stray_domain(void)
{
    return socket(10, SOCK_STREAM, 0);
}

static int stray_request(void)
{
    int count;
    return ioctl(one, 0x541b, &count);
}

static int stray_command(void)
{
    return fcntl(one, 1030, 0);
}

static int stray_control(void)
{
    prepare(item(0, 35, "12345678", 8));
    return (int)sendmsg(one, &message, 0);
}

static int stray_clock(void)
{
    struct timespec now;
    return clock_gettime(1, &now);
}

static int stray_at_flag(void)
{
    struct stat found;
    return fstatat(AT_FDCWD, "/", &found, 0x100);
}

static int stray_event(void)
{
    struct pollfd polled = {one, 0x2000, 0};
    return poll(&polled, 1, 0);
}

#if defined(__APPLE__)
static int stray_directory(void)
{
    struct stat found;
    return fstatat(-100, ".", &found, 0);
}
#endif
