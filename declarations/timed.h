/* Calls that need a timeout of the kernel's own on a socket that others use too. */
struct uds_timed { ...; };
int uds_timed_enter(struct uds_timed *timed, struct uds_handle *handle, int name, int *counted);
int uds_timed_leave(struct uds_timed *timed, struct uds_handle *handle, int name, int *counted);
int uds_timed_calls(struct uds_timed *timed);
