/* Packets: how long the next one is, and whether there is one. */
#define UDS_HAS_PACKET_END ...
ssize_t uds_handle_packet_length(struct uds_handle *handle, int flags);
int uds_handle_packet_waiting(struct uds_handle *handle);
