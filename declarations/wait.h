/* Waiting for one descriptor: returns the events that are there, 0 when the time is over, or -errno. */
int uds_handle_wait(struct uds_handle *handle, int events, int64_t nanoseconds);
