/* Calls on files: the flags that say where a path begins and what of it is followed, and struct stat.

   The flags of open(2) are Linux's already: see kernel.h. */
#define _GNU_SOURCE
#include "kernel.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

/* Where a path begins.  Linux's number for the working directory must not pass for theirs. */
static int place(int directory)
{
    if (directory == AT_FDCWD && kernel.at_cwd != AT_FDCWD)
        foreign_stop("openat", "AT_FDCWD of Linux", directory);
    return directory == kernel.at_cwd ? AT_FDCWD : directory;
}

static int at_flags(int theirs, const char *call)
{
    const struct number list[] = {{kernel.at_nofollow, AT_SYMLINK_NOFOLLOW}, {kernel.at_removedir, AT_REMOVEDIR}, {0, 0}};
    return to_ours(list, theirs, call, "unknown flag");
}

static void put(unsigned char *into, struct field field, uint64_t value)
{
    memcpy(into + field.offset, &value, field.size);
}

static int stat_to_theirs(int result, const struct stat *found, void *into)
{
    const struct stat_form *form = &kernel.stat;
    if (result < 0)
        return result;
    memset(into, 0, form->size);
    put(into, form->device, found->st_dev);
    put(into, form->inode, found->st_ino);
    put(into, form->links, found->st_nlink);
    put(into, form->mode, found->st_mode);
    put(into, form->owner, found->st_uid);
    put(into, form->length, (uint64_t)found->st_size);
    return 0;
}

int foreign_stat(const char *path, void *into)
{
    struct stat found;
    return stat_to_theirs(stat(path, &found), &found, into);
}

int foreign_fstat(int fd, void *into)
{
    struct stat found;
    return stat_to_theirs(fstat(fd, &found), &found, into);
}

int foreign_fstatat(int directory, const char *path, void *into, int flags)
{
    struct stat found;
    return stat_to_theirs(fstatat(place(directory), path, &found, at_flags(flags, "fstatat")), &found, into);
}

int foreign_open(const char *path, int flags, ...)
{
    va_list rest;
    int mode;
    va_start(rest, flags);
    mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return open(path, flags, mode);
}

int foreign_openat(int directory, const char *path, int flags, ...)
{
    va_list rest;
    int mode;
    va_start(rest, flags);
    mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return openat(place(directory), path, flags, mode);
}

int foreign_mkdirat(int directory, const char *path, unsigned mode)
{
    return mkdirat(place(directory), path, mode);
}

int foreign_unlinkat(int directory, const char *path, int flags)
{
    return unlinkat(place(directory), path, at_flags(flags, "unlinkat"));
}

int foreign_linkat(int directory, const char *path, int other, const char *name, int flags)
{
    return linkat(place(directory), path, place(other), name, at_flags(flags, "linkat"));
}

int foreign_renameat(int directory, const char *path, int other, const char *name)
{
    return renameat(place(directory), path, place(other), name);
}

/* They change the mode of a symbolic link itself, which Linux's links have not; its C library refuses to look. */
int foreign_fchmodat(int directory, const char *path, unsigned mode, int flags)
{
    char entry[64];
    int fd, result;
    if (!at_flags(flags, "fchmodat"))
        return fchmodat(place(directory), path, mode, 0);
    fd = openat(place(directory), path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(entry, sizeof entry, "/proc/self/fd/%d", fd);
    result = chmod(entry, mode);
    close(fd);
    return result;
}

int foreign_fchownat(int directory, const char *path, unsigned owner, unsigned group, int flags)
{
    return fchownat(place(directory), path, owner, group, at_flags(flags, "fchownat"));
}
