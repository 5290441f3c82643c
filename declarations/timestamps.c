/* When a packet was sent: SO_TIMESTAMP and SO_TIMESTAMPNS (socket(7)).

   The option's number is also the type of the control message, and there are two of each: the old ones with the
   kernel's own long, and since Linux 5.1 the new ones with 64 bits everywhere.  SO_TIMESTAMP is whichever fits the C
   library's time_t; on 32-bit systems it is an expression, which no #if can look at.  So all of them are named, and
   whoever reads a message goes by its type for the unit and by its size for the layout. */
#ifndef UDS_TIMESTAMPS_C
#define UDS_TIMESTAMPS_C
#include "packet.c"

#if defined(__linux__) && defined(SO_TIMESTAMP) && defined(SO_TIMESTAMPNS) && !defined(UDS_MINIMAL)
#  define UDS_HAS_TIMESTAMPS 1
/* Headers before Linux 5.1, and C libraries that hide the numbers, know the two names only. */
#  ifndef SO_TIMESTAMP_OLD
#    define SO_TIMESTAMP_OLD (-1)
#  endif
#  ifndef SO_TIMESTAMPNS_OLD
#    define SO_TIMESTAMPNS_OLD (-1)
#  endif
#  ifndef SO_TIMESTAMP_NEW
#    define SO_TIMESTAMP_NEW (-1)
#  endif
#  ifndef SO_TIMESTAMPNS_NEW
#    define SO_TIMESTAMPNS_NEW (-1)
#  endif
#else
#  define UDS_HAS_TIMESTAMPS 0
#  undef SO_TIMESTAMP
#  undef SO_TIMESTAMPNS
#  undef SO_TIMESTAMP_OLD
#  undef SO_TIMESTAMPNS_OLD
#  undef SO_TIMESTAMP_NEW
#  undef SO_TIMESTAMPNS_NEW
#  define SO_TIMESTAMP (-1)
#  define SO_TIMESTAMPNS (-1)
#  define SO_TIMESTAMP_OLD (-1)
#  define SO_TIMESTAMPNS_OLD (-1)
#  define SO_TIMESTAMP_NEW (-1)
#  define SO_TIMESTAMPNS_NEW (-1)
#endif

/* FreeBSD's AF_UNIX has no such option; there a sender adds an item of one of three types, and the kernel fills the time
   in (unix(4), unp_internalize() in sys/kern/uipc_usrreq.c).  Its SCM_MONOTONIC is no time of day. */
#if defined(__FreeBSD__) && defined(SCM_TIMESTAMP) && !defined(UDS_MINIMAL)
#  define UDS_SCM_TIMEVAL SCM_TIMESTAMP
#else
#  define UDS_SCM_TIMEVAL (-1)
#endif
#if defined(__FreeBSD__) && defined(SCM_REALTIME) && !defined(UDS_MINIMAL)
#  define UDS_SCM_TIMESPEC SCM_REALTIME
#else
#  define UDS_SCM_TIMESPEC (-1)
#endif
#if defined(__FreeBSD__) && defined(SCM_BINTIME) && !defined(UDS_MINIMAL)
#  define UDS_SCM_BINTIME SCM_BINTIME
#else
#  define UDS_SCM_BINTIME (-1)
#endif

#define UDS_TIMEVAL 1
#define UDS_TIMESPEC 2
#define UDS_BINTIME 3

/* FreeBSD's struct bintime: seconds, and 1/2^64 of one. */
struct uds_bintime {
    time_t sec;
    uint64_t frac;
};
#if defined(__FreeBSD__)
_Static_assert(sizeof(struct uds_bintime) == sizeof(struct bintime), "sys/_bintime.h has another one");
#endif

/* Reads a struct timeval, timespec or bintime of this system, as nanoseconds since the epoch: 0, or -EINVAL for what no
   kernel sends. */
UDS_FUNCTION int uds_timestamp_read(int form, const void *data, size_t size, int64_t *nanoseconds)
{
    int64_t seconds, fraction;

    if (form == UDS_TIMEVAL) {
        struct timeval value;
        if (size != sizeof value)
            return -EINVAL;
        memcpy(&value, data, sizeof value);
        if (value.tv_usec < 0 || value.tv_usec >= 1000000)
            return -EINVAL;
        seconds = value.tv_sec;
        fraction = (int64_t)value.tv_usec * 1000;
    } else if (form == UDS_TIMESPEC) {
        struct timespec value;
        if (size != sizeof value)
            return -EINVAL;
        memcpy(&value, data, sizeof value);
        seconds = value.tv_sec;
        fraction = value.tv_nsec;
    } else if (form == UDS_BINTIME) {
        struct uds_bintime value;
        if (size != sizeof value)
            return -EINVAL;
        memcpy(&value, data, sizeof value);
        seconds = value.sec;
        fraction = (int64_t)((value.frac >> 32) * 1000000000 >> 32);
    } else {
        return -EINVAL;
    }
    if (fraction < 0 || fraction >= 1000000000 || seconds < 0 || seconds >= INT64_MAX / 1000000000)
        return -EINVAL;
    *nanoseconds = seconds * 1000000000 + fraction;
    return 0;
}

#endif
