/* Messages that Python joins with a hole between each two, so that C finds where they end: that costs Python no step for
   each.

   Rule: there is one way to take the bytes apart only when there are as many holes as messages have ends between them;
   a hole cannot begin in one message and end in the next, because its bytes differ. */
#ifndef UDS_HOLES_C
#define UDS_HOLES_C
#include "types.c"

/* Bytes that all differ, of which the first does not occur in UTF-8. */
#define UDS_HOLE 0xf73a91c5u
#define UDS_HOLE_SIZE 4u

/* The next hole, or NULL when there is none.  left, which may be NULL, counts down what only begins like one; at 0 the
   search is given up. */
UDS_FUNCTION const char *uds_hole_find(const char *from, const char *end, size_t *left)
{
    static const char hole[] = {(char)(UDS_HOLE >> 24), (char)(UDS_HOLE >> 16 & 0xff), (char)(UDS_HOLE >> 8 & 0xff),
                                (char)(UDS_HOLE & 0xff)};
    const char *hit;
    while ((hit = memchr(from, hole[0], (size_t)(end - from))) != NULL) {
        if ((size_t)(end - hit) >= sizeof hole && memcmp(hit, hole, sizeof hole) == 0)
            return hit;
        if (left != NULL && --*left == 0)
            return NULL;
        from = hit + 1;
    }
    return NULL;
}

/* Whether these are exactly so many messages.  No, too, for bytes that often begin like a hole: looking at each of
   those would cost more than it saves. */
UDS_FUNCTION int uds_holes_between(const char *data, size_t size, int count)
{
    const char *end = data + size, *hit;
    size_t left = size / 64 + 16;
    int seen = 1;
    while (seen <= count && (hit = uds_hole_find(data, end, &left)) != NULL) {
        data = hit + UDS_HOLE_SIZE;
        seen++;
    }
    return seen == count && left > 0;
}

#endif
