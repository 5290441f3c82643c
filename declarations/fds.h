/* Slots for the received descriptors of one message at a time.  Memory of zeros is empty, in generation 0. */
struct uds_fds {
    int count;
    ...;
};
#define UDS_HAS_CLOSE_RANGE ...

int uds_fds_number(struct uds_fds *fds, unsigned int generation, int index);
int uds_fds_take(struct uds_fds *fds, unsigned int generation, int index, struct uds_handle *into);
int uds_fds_move(struct uds_fds *from, unsigned int generation, int first, int count, struct uds_fds *into);
int uds_fds_detach(struct uds_fds *fds, unsigned int generation, int *numbers);
int uds_fds_close(struct uds_fds *fds, unsigned int generation);
int uds_fds_adopt(struct uds_fds *fds, int fd);
void uds_fds_free(void *memory);
