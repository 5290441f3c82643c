/* Accepting connections. */
int uds_handle_accept(struct uds_handle *handle, struct uds_handle *into, struct uds_name *name, int nonblocking);
