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

#endif
