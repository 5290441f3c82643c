/* The floor: each function makes the same system calls as the operation of its name, `rounds` times, in a C loop.
   Each returns what the last receive returned, or 0 where nothing is received, or -errno. */
int64_t floor_send_recv(int from, int to, const void *data, size_t size, void *into, size_t room, int flags,
                        int64_t rounds);
int64_t floor_vectored(int from, int to, const char *data, char *into, size_t piece, int pieces, int64_t rounds);
int64_t floor_fds(int from, int to, const int *fds, int count, int64_t rounds);
int64_t floor_credentials(int from, int to, const void *data, size_t size, void *into, size_t room, int64_t rounds);
int64_t floor_batch(int from, int to, const void *data, size_t size, void *into, int packets, int64_t rounds);
int64_t floor_nothing(int fd, void *into, size_t room, int64_t rounds);
int64_t floor_pair_close(int type, int64_t rounds);
int64_t floor_connect_accept(int type, int listener, const char *path, int64_t rounds);
int64_t floor_ask(int fd, const void *data, size_t size, void *into, size_t room, int64_t rounds);
int64_t floor_answer(int fd, void *into, size_t room);
int64_t floor_pour(int fd, const void *data, size_t size, int64_t rounds);
int64_t floor_drain(int fd, void *into, size_t room);
int64_t floor_serve(int poller, const int *clients, int count, int64_t first, const void *data, size_t size,
                    void *into, size_t room, int64_t rounds);

/* Not floors: what a library without owners would do to receive descriptors, and which processor to run on (the first that
   is allowed has place 0). */
int64_t bare_recv_fds(int fd, void *into, size_t room, int *fds, int most);
int pin_to_processor(int place);
int unpin(void);
