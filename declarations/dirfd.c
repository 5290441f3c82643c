/* Files by a directory's descriptor and a name in it: openat(2), and what bind(2) and connect(2) lack beside it.

   Rule: no name is followed that is a symbolic link; only the path to a directory may have some.

   FreeBSD has bindat(2) and connectat(2).  On Linux the path of a descriptor in /proc does the same: a path that begins
   with it reaches beyond the length of sun_path, and the path alone, the unnamed address here, is the file itself. */
#ifndef UDS_DIRFD_C
#define UDS_DIRFD_C
#include "address.c"

#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#if (defined(__linux__) || defined(__FreeBSD__)) && !defined(UDS_MINIMAL)
#  define UDS_HAS_BINDAT 1
#else
#  define UDS_HAS_BINDAT 0
#endif

/* Whether the permissions that fchmod(2) gives a socket before it is bound are those of its file: so it is on Linux
   alone.  Others refuse the call, or change nothing. */
#if defined(__linux__) && !defined(UDS_MINIMAL)
#  define UDS_HAS_FILE_MODE 1
#else
#  define UDS_HAS_FILE_MODE 0
#endif

/* A descriptor that stands for the file and needs no permission to read it (Linux 2.6.39, FreeBSD 14); a directory
   is opened for reading where there is no such thing. */
#if defined(O_PATH)
#  define UDS_O_PATH O_PATH
#else
#  define UDS_O_PATH O_RDONLY
#endif

#define UDS_PROC_FD "/proc/self/fd"
/* That, two slashes, the digits of an int, and the NUL. */
#define UDS_PROC_FD_SIZE (sizeof UDS_PROC_FD + 13)

/* How many bytes a name has at most that is bound or connected to in a directory. */
#if !UDS_HAS_BINDAT
#  define UDS_MAX_NAME_LEN 0
#elif defined(__linux__)
#  define UDS_MAX_NAME_LEN (UDS_SUN_PATH_SIZE - (int)UDS_PROC_FD_SIZE)
#else
#  define UDS_MAX_NAME_LEN UDS_MAX_PATH_LEN
#endif

/* Whether the file of a name that is longer can be connected to, by a descriptor of its own. */
#if UDS_HAS_BINDAT && defined(__linux__)
#  define UDS_HAS_LONG_NAMES 1
#else
#  define UDS_HAS_LONG_NAMES 0
#endif

/* Opens a file into an empty handle, close-on-exec. */
UDS_FUNCTION int uds_handle_openat(struct uds_handle *into, int directory, const char *name, int flags, int mode)
{
    return uds_handle_keep(into, UDS_RESULT(openat(directory < 0 ? AT_FDCWD : directory, name,
                                                   flags | O_CLOEXEC, (mode_t)mode)));
}

/* Takes an open file's lock for itself alone (flock(2)), or -EAGAIN when somebody else has it. */
UDS_FUNCTION int uds_flock(int fd)
{
    return UDS_RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

UDS_FUNCTION int uds_handle_flock(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_flock(fd));
}

/* Gives the lock up, also for the copies that children of this process have. */
UDS_FUNCTION int uds_funlock(int fd)
{
    return UDS_RESULT(flock(fd, LOCK_UN));
}

UDS_FUNCTION int uds_handle_funlock(struct uds_handle *handle)
{
    UDS_HELD(handle, int, uds_funlock(fd));
}

/* What stat(2) says of a file.  Device and inode are compared among each other only. */
struct uds_status {
    uint64_t device, inode, links, size;
    unsigned int mode, owner;
};

UDS_FUNCTION int uds_status_fill(struct uds_status *into, const struct stat *found, int result)
{
    if (result < 0)
        return -errno;
    into->device = (uint64_t)found->st_dev;
    into->inode = (uint64_t)found->st_ino;
    into->links = (uint64_t)found->st_nlink;
    into->size = (uint64_t)found->st_size;
    into->mode = (unsigned int)found->st_mode;
    into->owner = (unsigned int)found->st_uid;
    return 0;
}

UDS_FUNCTION int uds_fstatat(int directory, const char *name, struct uds_status *into)
{
    struct stat found;
    int result = fstatat(directory < 0 ? AT_FDCWD : directory, name, &found, AT_SYMLINK_NOFOLLOW);
    return uds_status_fill(into, &found, result);
}

UDS_FUNCTION int uds_fstat(int fd, struct uds_status *into)
{
    struct stat found;
    int result = fstat(fd, &found);
    return uds_status_fill(into, &found, result);
}

UDS_FUNCTION int uds_handle_fstat(struct uds_handle *handle, struct uds_status *into)
{
    UDS_HELD(handle, int, uds_fstat(fd, into));
}

UDS_FUNCTION int uds_mkdirat(int directory, const char *name, int mode)
{
    return UDS_RESULT(mkdirat(directory < 0 ? AT_FDCWD : directory, name, (mode_t)mode));
}

UDS_FUNCTION int uds_unlinkat(int directory, const char *name)
{
    return UDS_RESULT(unlinkat(directory < 0 ? AT_FDCWD : directory, name, 0));
}

UDS_FUNCTION int uds_rmdirat(int directory, const char *name)
{
    return UDS_RESULT(unlinkat(directory < 0 ? AT_FDCWD : directory, name, AT_REMOVEDIR));
}

UDS_FUNCTION int uds_linkat(int directory, const char *name, int other, const char *new_name)
{
    return UDS_RESULT(linkat(directory < 0 ? AT_FDCWD : directory, name,
                             other < 0 ? AT_FDCWD : other, new_name, 0));
}

UDS_FUNCTION int uds_renameat(int directory, const char *name, int other, const char *new_name)
{
    return UDS_RESULT(renameat(directory < 0 ? AT_FDCWD : directory, name,
                               other < 0 ? AT_FDCWD : other, new_name));
}

/* Reads the beginning of a file; how many bytes, or -errno. */
UDS_FUNCTION int uds_read_beginning(const char *path, char *into, int size)
{
    int result, fd = UDS_RESULT(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (fd < 0)
        return fd;
    result = UDS_RESULT((int)read(fd, into, (size_t)size));
    close(fd);
    return result;
}

#if UDS_HAS_BINDAT && defined(__linux__)
/* Makes the address by which Linux reaches a file of a directory.  Returns its length, or -ENAMETOOLONG. */
UDS_FUNCTION int uds_sockaddr_at(struct sockaddr_un *into, int directory, const struct sockaddr_un *address,
                                 socklen_t length)
{
    size_t size = length - offsetof(struct sockaddr_un, sun_path);
    int prefix;
    char path[UDS_PROC_FD_SIZE + sizeof address->sun_path];
    if (length < offsetof(struct sockaddr_un, sun_path) || size > sizeof address->sun_path)
        return -EINVAL;
    prefix = snprintf(path, sizeof path, UDS_PROC_FD "/%d%s", directory, size != 0 ? "/" : "");
    memcpy(path + prefix, address->sun_path, size);
    size = strnlen(path, (size_t)prefix + size);
    length = uds_sockaddr_fill(into, path, size, 1);
    return length == 0 ? -ENAMETOOLONG : (int)length;
}

/* The path is not there when the descriptor is not open, or without /proc, which says nothing about the file. */
UDS_FUNCTION int uds_through_proc(int result, int directory)
{
    if (result != -ENOENT)
        return result;
    if (fcntl(directory, F_GETFD) < 0)
        return -errno;
    return access(UDS_PROC_FD, F_OK) != 0 ? -ENOSYS : result;
}
#endif

/* Binds a socket to a name in a directory, or connects it to the one there. */
UDS_FUNCTION int uds_reach(int fd, int connecting, int directory, const struct sockaddr_un *address, socklen_t length)
{
#if UDS_HAS_BINDAT && defined(__linux__)
    struct sockaddr_un reached;
    int result = uds_sockaddr_at(&reached, directory, address, length);
    if (result < 0)
        return result;
    result = (connecting ? uds_connect : uds_bind)(fd, &reached, (socklen_t)result);
    return uds_through_proc(result, directory);
#elif UDS_HAS_BINDAT
    /* The file of a descriptor has no address there: a name must fit into one. */
    if (length == (socklen_t)UDS_SUN_PATH_OFFSET)
        return -ENAMETOOLONG;
    return UDS_RESULT((connecting ? connectat : bindat)(directory, fd, UDS_CONST_SOCKADDR(address), length));
#else
    (void)fd;
    (void)connecting;
    (void)directory;
    (void)address;
    (void)length;
    return -ENOSYS;
#endif
}

UDS_FUNCTION int uds_handle_bindat(struct uds_handle *handle, int directory, const struct sockaddr_un *address,
                                   socklen_t length)
{
    UDS_HELD(handle, int, uds_reach(fd, 0, directory, address, length));
}

UDS_FUNCTION int uds_handle_connectat(struct uds_handle *handle, int directory, const struct sockaddr_un *address,
                                      socklen_t length)
{
    UDS_HELD(handle, int, uds_reach(fd, 1, directory, address, length));
}

UDS_FUNCTION int uds_bindat_and_connectat(int fd, struct uds_handle *other, int directory, const char *name)
{
    struct sockaddr_un address;
    socklen_t length = uds_sockaddr_fill(&address, name, strlen(name), 1);
    int result = length ? uds_reach(fd, 0, directory, &address, length) : -ENAMETOOLONG;
    if (result < 0)
        return result;
    result = uds_handle_connectat(other, directory, &address, length);
    unlinkat(directory, name, 0);
    return result;
}

/* Binds a socket to a name in a folder, connects another to it, and removes the file: no signal handler can come
   between, and leave it there.  0 or -errno. */
UDS_FUNCTION int uds_bindat_briefly(int fd, struct uds_handle *other, const char *folder, const char *name)
{
    int result, directory = UDS_RESULT(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory < 0)
        return directory;
    result = uds_bindat_and_connectat(fd, other, directory, name);
    close(directory);
    return result;
}

UDS_FUNCTION int uds_handle_bindat_briefly(struct uds_handle *handle, struct uds_handle *other, const char *folder,
                                           const char *name)
{
    UDS_HELD(handle, int, uds_bindat_briefly(fd, other, folder, name));
}

/* Sets the permissions of a file that is no symbolic link, through the path of a descriptor in /proc.  -ENOTSUP where
   there is no such thing. */
UDS_FUNCTION int uds_chmod_by_descriptor(int directory, const char *name, int mode)
{
#if defined(__linux__)
    char path[UDS_PROC_FD_SIZE];
    struct stat status;
    int result, fd = UDS_RESULT(openat(directory < 0 ? AT_FDCWD : directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (fd < 0)
        return fd;
    snprintf(path, sizeof path, UDS_PROC_FD "/%d", fd);
    if (fstat(fd, &status) < 0)
        result = -errno;
    else if (S_ISLNK(status.st_mode))
        result = -ELOOP;
    else
        result = UDS_RESULT(chmod(path, (mode_t)mode));
    close(fd);
    return result;
#else
    (void)directory;
    (void)name;
    (void)mode;
    return -ENOTSUP;
#endif
}

/* Does the same by the system's own call.  The C library of Linux asks the kernel for it (fchmodat2(2), Linux 6.6), or
   else goes through /proc itself, but glibc before 2.32 refuses the flag. */
UDS_FUNCTION int uds_fchmodat(int directory, const char *name, int mode)
{
    int result = UDS_RESULT(fchmodat(directory < 0 ? AT_FDCWD : directory, name, (mode_t)mode, AT_SYMLINK_NOFOLLOW));
    return result == -ENOTSUP || result == -EOPNOTSUPP ? uds_chmod_by_descriptor(directory, name, mode) : result;
}

/* Gives a file to others, and of a symbolic link the link itself; what is -1 stays. */
UDS_FUNCTION int uds_fchownat(int directory, const char *name, unsigned int owner, unsigned int group)
{
    return UDS_RESULT(fchownat(directory < 0 ? AT_FDCWD : directory, name, (uid_t)owner, (gid_t)group,
                               AT_SYMLINK_NOFOLLOW));
}

#endif
