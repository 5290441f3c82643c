/* Addresses: theirs begin with a length, and Linux's do not.

   A path that Linux cannot take, because it is too long or begins in a directory's descriptor, is reached through a
   symbolic link in a folder that the program's environment names.  A socket that is bound so is bound to a short name
   beside the wanted one, which then gets the file.  The kernel goes on to report the short one, with the link in it, and
   a second link of the same number says what the caller had named. */
#define _GNU_SOURCE
#include "kernel.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define LINK_SIZE 80

/* The path of a link: the folder of a socket file ("d"), a socket file ("f"), and the name that the caller gave ("n"). */
static void name_link(char *into, char sort, const char *number)
{
    const char *folder = getenv("UDS_FOREIGN_LINKS");
    size_t size = folder == NULL ? 0 : strlen(folder);
    if (size == 0 || size + strlen(number) + 3 > LINK_SIZE)
        foreign_stop("bind", "UDS_FOREIGN_LINKS names no folder for links, or has too long a path, bytes", (long)size);
    memcpy(into, folder, size);
    snprintf(into + size, LINK_SIZE - size, "/%c%s", sort, number);
}

static int make_link(char *link, char sort, const char *number, const char *target)
{
    name_link(link, sort, number);
    return symlink(target, link) < 0 ? -errno : 0;
}

/* Makes an absolute path of a name in a directory, of which only the last part may be missing.  0 or -errno. */
static int absolute(int directory, const char *name, char *into, size_t room)
{
    char entry[64];
    struct stat status;
    ssize_t size = 0;
    if (name[0] != '/') {
        if (directory != AT_FDCWD && fstat(directory, &status) < 0)
            return -errno;
        if (directory != AT_FDCWD && !S_ISDIR(status.st_mode))
            return -ENOTDIR;
        snprintf(entry, sizeof entry, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
        size = readlink(entry, into, room - 1);
        if (size < 0)
            return -errno;
        into[size++] = '/';
    }
    snprintf(into + size, room - (size_t)size, "%s", name);
    return 0;
}

/* Finds the way to a name that Linux cannot take. */
static int detour(int directory, const char *name, struct way *way)
{
    static atomic_int serial;
    char number[32], link[LINK_SIZE], *last;
    struct stat status;
    int result = absolute(directory, name, way->wanted, sizeof way->wanted);

    if (result < 0)
        return result;
    snprintf(number, sizeof number, "%d.%d", (int)getpid(), atomic_fetch_add(&serial, 1));
    if (!way->binds) {
        result = make_link(link, 'f', number, way->wanted);
        snprintf(way->path, sizeof way->path, "%s", link);
        return result;
    }
    /* Before anything is bound, because a socket that is bound to a short name cannot be bound again. */
    if (lstat(way->wanted, &status) == 0)
        return -EADDRINUSE;
    result = make_link(link, 'n', number, name);
    last = strrchr(way->wanted, '/');
    *last = '\0';
    if (result == 0)
        result = make_link(link, 'd', number, last == way->wanted ? "/" : way->wanted);
    *last = '/';
    way->is_detour = 1;
    if ((size_t)snprintf(way->path, sizeof way->path, "%s/.%s", link, number) >= sizeof way->path)
        foreign_stop("bind", "the folder for links has too long a path, bytes", (long)strlen(link));
    return result;
}

/* Reads an address that the caller gives.  0, or -errno. */
int find_way(int directory, const void *theirs, uint32_t length, struct way *way)
{
    const unsigned char *bytes = theirs;
    char path[256];
    size_t count;
    int result;

    way->is_detour = 0;
    if (length < THEIR_NAME_HEAD)
        return -EINVAL;
    if (bytes[1] != AF_UNIX)
        return -EAFNOSUPPORT;
    /* Those kernels write the length themselves.  A program that leaves it out is taken to be wrong here. */
    if (bytes[0] != length || length > THEIR_NAME_HEAD + kernel.longest_path + 1)
        return -EINVAL;
    count = strnlen((const char *)bytes + THEIR_NAME_HEAD, length - THEIR_NAME_HEAD);
    if (count > kernel.longest_path || length == THEIR_NAME_HEAD)
        return -EINVAL;
    if (count == 0)
        return -ENOENT;
    memcpy(path, bytes + THEIR_NAME_HEAD, count);
    path[count] = '\0';
    if (count >= sizeof way->path || (directory != AT_FDCWD && path[0] != '/')) {
        result = detour(directory, path, way);
        if (result < 0)
            return result;
    } else {
        memcpy(way->path, path, count + 1);
    }
    memset(&way->ours, 0, sizeof way->ours);
    way->ours.sun_family = AF_UNIX;
    memcpy(way->ours.sun_path, way->path, strlen(way->path) + 1);
    way->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(way->path) + 1);
    return 0;
}

/* Gives the file of a socket that was bound by a detour its true name.  0, or -errno. */
int end_detour(const struct way *way)
{
    int result;
    if (!way->is_detour)
        return 0;
    result = link(way->path, way->wanted) < 0 ? -errno : 0;
    unlink(way->path);
    return result == -EEXIST ? -EADDRINUSE : result;
}

/* Writes the path that a socket was bound to, which Linux may report with a link of ours in it. */
static size_t true_path(const char *reported, char *into, size_t room)
{
    const char *folder = getenv("UDS_FOREIGN_LINKS");
    size_t size = folder == NULL ? 0 : strlen(folder);
    char link[LINK_SIZE], number[32] = "";
    ssize_t found;

    if (size == 0 || strncmp(reported, folder, size) != 0 || sscanf(reported + size, "/d%31[0-9.]/", number) != 1)
        return (size_t)snprintf(into, room, "%s", reported);
    name_link(link, 'n', number);
    found = readlink(link, into, room);
    if (found < 0)
        foreign_stop("getsockname", "a link of ours is gone, errno", errno);
    return (size_t)found;
}

/* Writes an address for the caller, cut where there is no room, and returns how long it is then.  Linux's abstract
   names, which it also gives to sockets that ask for credentials, are no names there. */
uint32_t name_to_theirs(const struct sockaddr_un *ours, socklen_t size, void *into, uint32_t room)
{
    unsigned char whole[512] = {0};
    char reported[sizeof ours->sun_path + 1] = "";
    uint32_t length = kernel.unnamed_length;

    whole[1] = AF_UNIX;
    if (size >= sizeof(sa_family_t) && ours->sun_family != AF_UNIX) {
        whole[1] = (unsigned char)ours->sun_family;
        length = 16;
    } else if (size > offsetof(struct sockaddr_un, sun_path) && ours->sun_path[0] != '\0') {
        size_t count = size - offsetof(struct sockaddr_un, sun_path);
        memcpy(reported, ours->sun_path, count > sizeof ours->sun_path ? sizeof ours->sun_path : count);
        count = true_path(reported, (char *)whole + THEIR_NAME_HEAD, sizeof whole - THEIR_NAME_HEAD);
        length = (uint32_t)(THEIR_NAME_HEAD + count);
        if (kernel.pads_names)
            length = length > 106 ? length : 106;
    }
    whole[0] = (unsigned char)length;
    memcpy(into, whole, length < room ? length : room);
    return length < room ? length : room;
}
