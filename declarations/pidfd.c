/* A descriptor of a process (pidfd_open(2), Linux 5.3).

   Rules:
   - Nothing here takes a number for a pidfd that it has not looked at: the ioctl of other files may mean anything.
   - What an older kernel lacks is its own answer, handed on: -ENOTTY or -EINVAL for PIDFD_GET_INFO, -EOPNOTSUPP for
     pidfds that are no files of their own.  Python decides what stands for it. */
#ifndef UDS_PIDFD_C
#define UDS_PIDFD_C
#include "handle.c"

#include <signal.h>
#include <stdio.h>
#if defined(__linux__)
#  include <sys/syscall.h>
#  include <sys/vfs.h>
#endif

#if defined(SYS_pidfd_open) && defined(SYS_pidfd_send_signal) && !defined(UDS_MINIMAL)
#  define UDS_HAS_PIDFD 1
#else
#  define UDS_HAS_PIDFD 0
#endif

/* An ioctl that asks the kernel, and a file system of whose files one can ask the number: neither needs a header. */
#define UDS_HAS_PIDFD_INFO UDS_HAS_PIDFD
#define UDS_HAS_PIDFD_IDENTITY UDS_HAS_PIDFD

#if defined(_NSIG)
#  define UDS_LAST_SIGNAL (_NSIG - 1)
#else
#  define UDS_LAST_SIGNAL (NSIG - 1)
#endif

/* What is known, and what is asked for: include/uapi/linux/pidfd.h, the same on every architecture. */
#define UDS_PIDFD_INFO_PID 1
#define UDS_PIDFD_INFO_CREDS 2
#define UDS_PIDFD_INFO_CGROUPID 4
#define UDS_PIDFD_INFO_EXIT 8      /* Linux 6.15 */
#define UDS_PIDFD_INFO_COREDUMP 16 /* Linux 6.16 */

/* struct pidfd_info of include/uapi/linux/pidfd.h (Linux 6.13) with what 6.16 has added: PIDFD_INFO_SIZE_VER1.  The
   size is part of the ioctl's number; a kernel that knows less fills in less, and the mask says what. */
struct uds_pidfd_info {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t pid;
    uint32_t tgid;
    uint32_t ppid;
    uint32_t ruid;
    uint32_t rgid;
    uint32_t euid;
    uint32_t egid;
    uint32_t suid;
    uint32_t sgid;
    uint32_t fsuid;
    uint32_t fsgid;
    int32_t exit_code;
    uint32_t coredump_mask;
    uint32_t spare;
};

#if UDS_HAS_PIDFD
#  define UDS_PIDFD_GET_INFO _IOWR(0xFF, 11, struct uds_pidfd_info)
#  define UDS_PID_FS_MAGIC 0x50494446 /* include/uapi/linux/magic.h, Linux 6.9 */

/* 1 when a descriptor is a file of the pidfs, so that its number tells processes apart, else 0 or -errno. */
UDS_FUNCTION int uds_on_pidfs(int fd)
{
    struct statfs system;
    if (fstatfs(fd, &system) < 0)
        return -errno;
    return (unsigned long)system.f_type == UDS_PID_FS_MAGIC;
}

/* What the line "Pid:" of fdinfo says: the pid, 0 for a process that is not visible here, -1 for one that was reaped.
   -EINVAL for a descriptor without such a line, which is no pidfd. */
UDS_FUNCTION int uds_pidfd_line(int fd, int *pid)
{
    char path[sizeof "/proc/self/fdinfo/" + 3 * sizeof fd], text[512];
    const char *line;
    ssize_t size;
    int file;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    file = UDS_RESULT(open(path, O_RDONLY | O_CLOEXEC));
    if (file < 0)
        return file;
    size = UDS_RESULT(read(file, text, sizeof text - 1));
    close(file);
    if (size < 0)
        return (int)size;
    text[size] = 0;
    line = strstr(text, "\nPid:");
    if (line == NULL)
        return -EINVAL;
    *pid = (int)strtol(line + 5, NULL, 10);
    return 0;
}
#endif

/* 0 when the number is a pidfd, -EINVAL when it is another descriptor, -EBADF when it is not open. */
UDS_FUNCTION int uds_pidfd_check(int fd)
{
#if UDS_HAS_PIDFD
    int pid, result = uds_on_pidfs(fd);
    if (result < 0)
        return result;
    return result ? 0 : uds_pidfd_line(fd, &pid);
#else
    (void)fd;
    return -ENOSYS;
#endif
}

/* The kernel makes every pidfd close-on-exec. */
UDS_FUNCTION int uds_handle_pidfd_open(struct uds_handle *into, pid_t pid)
{
#if UDS_HAS_PIDFD
    return uds_handle_keep(into, (int)UDS_RESULT(syscall(SYS_pidfd_open, pid, 0u)));
#else
    (void)into;
    (void)pid;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_pidfd_signal(int fd, int number)
{
#if UDS_HAS_PIDFD
    return (int)UDS_RESULT(syscall(SYS_pidfd_send_signal, fd, number, NULL, 0u));
#else
    (void)fd;
    (void)number;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_pidfd_signal(struct uds_handle *handle, int number)
{
    UDS_HELD(handle, int, uds_pidfd_signal(fd, number));
}

/* Asks for what info->mask names and fills in what the kernel knows; the mask says what that is. */
UDS_FUNCTION int uds_pidfd_info(int fd, struct uds_pidfd_info *info)
{
#if UDS_HAS_PIDFD
    int result;
    /* C libraries differ in the type of the request; a constant would be one that does not fit into an int. */
    unsigned long request = UDS_PIDFD_GET_INFO;
    uint64_t wanted = info->mask;
    memset(info, 0, sizeof *info);
    info->mask = wanted;
    result = UDS_RESULT(ioctl(fd, request, info));
    if (result < 0)
        info->mask = 0;
    return result;
#else
    (void)fd;
    info->mask = 0;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_pidfd_info(struct uds_handle *handle, struct uds_pidfd_info *info)
{
    UDS_HELD(handle, int, uds_pidfd_info(fd, info));
}

/* The pid by fdinfo, which every kernel with pidfds has; 0 when there is none to be seen from here. */
UDS_FUNCTION int uds_pidfd_pid(int fd)
{
#if UDS_HAS_PIDFD
    int pid, result = uds_pidfd_line(fd, &pid);
    if (result < 0)
        return result;
    return pid > 0 ? pid : 0;
#else
    (void)fd;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_pidfd_pid(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_pidfd_pid(fd));
}

/* 1 when both are the same file of the pidfs, and so the same process, which has one file that is never used for
   another; 0 when not; -EOPNOTSUPP before Linux 6.9, where all pidfds are one file. */
UDS_FUNCTION int uds_pidfd_compare(int one, int two)
{
#if UDS_HAS_PIDFD
    struct stat first, second;
    int result = uds_on_pidfs(one);
    if (result > 0)
        result = uds_on_pidfs(two);
    if (result <= 0)
        return result < 0 ? result : -EOPNOTSUPP;
    if (fstat(one, &first) < 0 || fstat(two, &second) < 0)
        return -errno;
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
#else
    (void)one;
    (void)two;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_pidfd_same(int one, struct uds_handle *two)
{
    UDS_HELD(two, int, uds_pidfd_compare(one, fd));
}

UDS_FUNCTION int uds_handle_pidfd_same(struct uds_handle *one, struct uds_handle *two)
{
    UDS_HELD(one, int, uds_pidfd_same(fd, two));
}

#endif
