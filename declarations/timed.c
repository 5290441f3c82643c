/* Calls that need a timeout of the kernel's own (SO_RCVTIMEO) on a socket that others use too.

   Rules:
   - The first of them keeps what the timeout was, and the last one restores it.
   - In the child of a fork the calls of the parent's other threads do not exist. */
#ifndef UDS_TIMED_C
#define UDS_TIMED_C
#include "options.c"

struct uds_timed {
    unsigned int lock;
    unsigned int generation; /* the fork generation in which the count is true */
    int calls;
    int64_t kept;            /* what the timeout was before the first of them, in microseconds */
};

/* In the child of a fork: the timeout is what it was before the calls of the parent. */
UDS_FUNCTION void uds_timed_inherit(struct uds_timed *timed, struct uds_handle *handle, int name)
{
    if (timed->generation == uds_generation)
        return;
    if (timed->calls > 0)
        uds_handle_set_timeout(handle, name, timed->kept);
    timed->calls = 0;
    timed->generation = uds_generation;
}

/* What marks a call that was counted in this process. */
UDS_FUNCTION int uds_timed_mark(void)
{
    return (int)(uds_generation / UDS_ONE_GENERATION) + 1;
}

/* Counts a call in; counted, which is the call's own and was 0, is no longer 0. */
UDS_FUNCTION int uds_timed_enter(struct uds_timed *timed, struct uds_handle *handle, int name, int *counted)
{
    int result = 0;
    uds_lock(&timed->lock);
    uds_timed_inherit(timed, handle, name);
    if (timed->calls == 0)
        result = uds_handle_get_timeout(handle, name, &timed->kept);
    if (result == 0) {
        timed->calls++;
        *counted = uds_timed_mark();
    }
    uds_unlock(&timed->lock);
    return result;
}

/* Counts it out, if it was counted in. */
UDS_FUNCTION int uds_timed_leave(struct uds_timed *timed, struct uds_handle *handle, int name, int *counted)
{
    int result = 0, mark = *counted;
    if (mark == 0)
        return 0;
    uds_lock(&timed->lock);
    *counted = 0;
    uds_timed_inherit(timed, handle, name);
    /* A fork's child that goes on with a call of its parent has nothing to count out. */
    if (mark == uds_timed_mark() && --timed->calls == 0)
        result = uds_handle_set_timeout(handle, name, timed->kept);
    uds_unlock(&timed->lock);
    return result;
}

/* How many calls are running. */
UDS_FUNCTION int uds_timed_calls(struct uds_timed *timed)
{
    int calls;
    uds_lock(&timed->lock);
    calls = timed->generation == uds_generation ? timed->calls : 0;
    uds_unlock(&timed->lock);
    return calls;
}

#endif
