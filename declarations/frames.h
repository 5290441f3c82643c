/* Framed messages: a 4-byte big-endian length, and that many bytes, over and over.

   A reader is preset by Python, and its memory belongs to that; so with a writer. */
#define UDS_FRAMES_MOST ...
#define UDS_FRAMES_ROOM ...
#define UDS_FRAMES_PLAIN ...
#define UDS_FRAMES_FDS ...
#define UDS_FRAMES_LOST ...
#define UDS_FRAMES_BROKEN ...
#define UDS_FRAMES_SHAPE ...
#define UDS_FRAMES_PART ...

struct uds_frame_set {
    struct uds_fds *fds;
    int index;
    int surplus;
    int cut;
    int64_t serial;
    ...;
};

struct uds_frame_reader {
    struct uds_handle *handle;
    uint32_t limit;
    int max_fds;
    int flags;
    char *data;
    size_t size;
    size_t base;
    int64_t memory;
    size_t begin;
    size_t end;
    size_t needed;
    int64_t result;
    int64_t undelivered;
    int count;
    uint32_t first;
    uint32_t last;
    uint32_t length;
    int stray;
    struct uds_frame_set sets[2];
    uint32_t starts[...];
    uint32_t lengths[...];
    ...;
};

int64_t uds_frames_receive_all(struct uds_frame_reader *reader);
int64_t uds_frames_receive_one(struct uds_frame_reader *reader);
int64_t uds_frames_try_all(struct uds_frame_reader *reader);
int64_t uds_frames_try_one(struct uds_frame_reader *reader);
int uds_frames_move(struct uds_frame_reader *reader, int64_t memory, char *data, size_t size, int64_t number);
int uds_frames_deliver(struct uds_frame_reader *reader, int64_t result);
int uds_frames_recall(struct uds_frame_reader *reader, int64_t result);
int uds_frames_take(struct uds_frame_reader *reader, int place, int64_t serial, struct uds_fds *into);
