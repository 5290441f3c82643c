/* A descriptor with its count of running calls.  Memory of zeros is an empty handle. */
struct uds_handle { ...; };

int uds_handle_fileno(struct uds_handle *handle);
int uds_handle_adopt(struct uds_handle *handle, int fd, int borrowed);
int uds_handle_close(struct uds_handle *handle);
int uds_handle_detach(struct uds_handle *handle);
int uds_handle_open(struct uds_handle *handle, const char *name, int flags);
int uds_handle_move(struct uds_handle *handle, struct uds_handle *into);
int uds_handle_users(struct uds_handle *handle);
void uds_after_fork_in_child(void);
void *uds_allocate(size_t size);
void uds_free(void *memory);
void uds_handle_free(void *memory);
int uds_handle_seal(struct uds_handle *handle);

int uds_handle_socket(struct uds_handle *handle, int type, int nonblocking);
int uds_handle_socketpair(struct uds_handle *one, struct uds_handle *two, int type, int nonblocking);
int uds_handle_dup(struct uds_handle *handle, struct uds_handle *into);
int uds_handle_dup_number(int fd, struct uds_handle *into);
int uds_handle_listen(struct uds_handle *handle, int backlog);
int uds_handle_shutdown(struct uds_handle *handle, int how);
int uds_handle_getsockopt(struct uds_handle *handle, int level, int name, void *value, socklen_t *length);
int uds_handle_setsockopt(struct uds_handle *handle, int level, int name, const void *value, socklen_t length);
