/* The file that a socket is bound to, as an O_PATH descriptor in an empty handle. */
#define UDS_HAS_BOUND_FILE ...
int uds_handle_bound_file(struct uds_handle *handle, struct uds_handle *into);
/* Whether a path leads to a socket file, and whether to that of a handle: 1 or 0. */
int uds_leads_to_socket(const char *path);
int uds_handle_is_at(struct uds_handle *handle, const char *path);
/* Binds to a path whose file is removed at once: 0 and the file's inode. */
int uds_handle_bind_briefly(struct uds_handle *handle, const char *path, uint64_t *found);
/* Connects a second socket through a path whose file is removed at once. */
int uds_handle_connect_briefly(struct uds_handle *handle, struct uds_handle *other, const char *path);
