/* The O_NONBLOCK of a socket, which all who share it share. */
int uds_handle_get_nonblocking(struct uds_handle *handle);
int uds_handle_set_nonblocking(struct uds_handle *handle, int nonblocking);
