// The socket calls that Swift cannot express: control messages, batches, options whose names are macros.
//
// This target is the one place that another POSIX system would need differently. Every function that can fail returns
// a result of zero or more, or a negated errno; none touches memory it was not handed.
#ifndef GODWIT_CSOCKETS_H
#define GODWIT_CSOCKETS_H

#include <stddef.h>
#include <stdint.h>

/// A transport address in host order; `family` is 4, 6 or 0 for "none".
typedef struct gw_address {
    uint64_t high;
    uint64_t low;
    uint32_t scope;
    uint16_t port;
    uint8_t family;
} gw_address;

// MARK: Memory (Memory.c)

/// Takes the pages of the program and its libraries out of this process that are as they are in their files, from which
/// the next access brings them back.
void gw_release_program_pages(void);

// MARK: Networks (Interfaces.c)

/// Sockets that the calling thread makes from now on are in the network namespace of this file, in which the system keeps it.
int gw_enter_network(const char *path);

// MARK: Descriptors (Descriptors.c)

/// Lets this process open as many descriptors as the system allows it, and returns how many.
int64_t gw_raise_descriptor_limit(void);
int gw_close(int fd);
/// Sets O_NONBLOCK and returns the flags that stood before.
int gw_make_nonblocking(int fd);
int gw_restore_flags(int fd, int flags);
/// One read into two regions. 0 is the end of the stream.
intptr_t gw_read(int fd, void *first, size_t first_count, void *second, size_t second_count);
/// One write out of two regions, for pipes and files.
intptr_t gw_write(int fd, const void *first, size_t first_count, const void *second, size_t second_count);
/// One write out of two regions to a socket; a vanished peer is EPIPE and never a signal.
intptr_t gw_send(int fd, const void *first, size_t first_count, const void *second, size_t second_count);
/// The same for bytes that wait in the socket for the end that is written next, to go with it in one segment.
intptr_t gw_send_before_end(int fd, const void *first, size_t first_count, const void *second, size_t second_count);
/// Whether poll reports an error or a hang-up; the pending error stays pending.
int gw_has_hung_up(int fd);
/// Whether poll reports an error, such as a reset; it stays pending.
int gw_has_error(int fd);
/// The name of an error number, such as "ECONNREFUSED"; NULL when it has none.
const char *gw_error_name(int code);
/// What an error number means, in the system's words.
const char *gw_error_text(int code);
/// Makes writes to a pipe without a reader fail with EPIPE instead of ending the process.
void gw_ignore_broken_pipes(void);
/// Names the calling thread (15 bytes count) and leaves all signals to the other threads.
void gw_begin_thread(const char *name);

/// A descriptor that becomes readable at the time of the monotonic clock that it is set to, and stays so until it is set anew.
int gw_alarm_open(void);
int gw_alarm_set(int fd, int64_t nanoseconds);

/// A descriptor that becomes readable when another thread signals it.
int gw_notifier_open(void);
int gw_notifier_signal(int fd);
int gw_notifier_drain(int fd);
/// Blocks until the descriptor has been signalled.
int gw_notifier_wait(int fd);

// MARK: Stream sockets (Streams.c)

int gw_tcp_listen(const gw_address *local, int backlog);
/// A socket whose connect has been started; its outcome is known once it is writable.
int gw_tcp_connect(const gw_address *remote);
/// Whether a connect that was started has come about: 1, 0 when it is under way, or why it has failed.
int gw_tcp_connected(int fd, const gw_address *remote);
/// Accepts one connection, non-blocking; `peer` may get family 0.
int gw_accept(int fd, gw_address *peer);
/// TCP_NODELAY, keep-alive probes after `idle_seconds`, and a reset for the peer should the process die before it closes.
int gw_tcp_tune(int fd, int idle_seconds);
/// Urgent bytes stay where they are in the stream, so that every byte is read and counted.
int gw_tcp_keep_urgent_bytes(int fd);
/// Takes the pending error of a socket: 0 or a positive errno.
int gw_take_error(int fd);
int gw_local_address(int fd, gw_address *address);
int gw_peer_address(int fd, gw_address *address);
int gw_shutdown_write(int fd);
/// Closes so that the peer gets a reset (SO_LINGER of zero).
int gw_abort(int fd);
/// Closes a connection that was tuned such that what was written still goes out, and the end after it.
int gw_close_in_order(int fd);
int gw_is_socket(int fd);

/// Listens at a path with mode 0600; the path must be free.
int gw_unix_listen(const char *path, int backlog);
int gw_unix_connect(const char *path);
/// The user at the other end of a Unix-domain socket.
int gw_peer_user(int fd, uint32_t *user);

// MARK: Datagram sockets (Datagrams.c)

enum {
    GW_UDP_SHARE_PORT = 1,   // SO_REUSEPORT
    GW_UDP_NO_RECEIVE_OFFLOAD = 2,   // leave UDP_GRO off
};

/// `device` names the interface that the socket keeps to, or is NULL. `*keeps_to_device` tells whether the system allowed
/// it; where it does not, the socket is bound to its address alone.
int gw_udp_open(const gw_address *local, const char *device, int flags, int *keeps_to_device);
/// Asks for socket buffers of `receive` and `send` bytes and reports what was got.
void gw_udp_set_buffers(int fd, int receive, int send, int *got_receive, int *got_send);
/// Whether UDP_GRO could be switched on.
int gw_udp_has_receive_offload(int fd);
/// Steers datagrams inside a SO_REUSEPORT group by the first byte of the destination connection ID.
int gw_udp_steer_by_connection_id(int fd, uint32_t group_size);

/// What one entry of a receive batch holds: one datagram, or several of one sender (GRO).
typedef struct gw_received {
    gw_address from;
    gw_address to;   // family 0 where the kernel did not say
    uint32_t length;
    uint16_t segment;   // 0: one datagram
    uint8_t ecn;
    uint8_t truncated;
} gw_received;

typedef struct gw_receive_batch gw_receive_batch;

gw_receive_batch *gw_receive_batch_new(int capacity, size_t entry_size);
void gw_receive_batch_free(gw_receive_batch *batch);
uint8_t *gw_receive_batch_bytes(gw_receive_batch *batch, int index);
const gw_received *gw_receive_batch_entry(const gw_receive_batch *batch, int index);
/// Receives up to `limit` entries and returns how many there were.
int gw_udp_receive(int fd, gw_receive_batch *batch, int limit);

/// Empties the entries that were longer than their buffers and returns how many there were.
int gw_receive_batch_drop_truncated(gw_receive_batch *batch, int count);

/// One datagram, or several of `segment` bytes each for one receiver.
typedef struct gw_outgoing {
    const uint8_t *bytes;
    uint32_t length;
    uint16_t segment;
    uint8_t ecn;
    gw_address to;
    gw_address from;   // family 0: the kernel chooses
} gw_outgoing;

enum { GW_SEND_BATCH = 64 };

/// Sends with one call, segmented by the kernel where `length` exceeds `segment`. Returns bytes sent.
intptr_t gw_udp_send(int fd, const gw_outgoing *outgoing);
/// Sends up to GW_SEND_BATCH entries with one call. Returns how many entries were sent.
int gw_udp_send_many(int fd, const gw_outgoing *outgoing, int count);
/// Sends up to GW_SEND_BATCH datagrams of one entry with one call, cut here. Returns bytes sent.
intptr_t gw_udp_send_cut(int fd, const gw_outgoing *outgoing);

/// Switches the telling of errors from the network (ICMP) on or off; what was not taken by then is dropped.
int gw_udp_report_network_errors(int fd, int family, int on);
/// Takes one error from the network: its errno, and where the datagram was bound for. EAGAIN: there is none.
int gw_udp_take_network_error(int fd, gw_address *to);

// MARK: Interfaces (Interfaces.c)

typedef struct gw_interface {
    char name[32];
    uint32_t index;
    uint32_t mtu;
    uint8_t is_up;
    uint8_t is_loopback;
    uint8_t prefix_length;
    gw_address address;
} gw_interface;

/// Writes one entry for each address of each interface; returns how many there are, at most `capacity`.
int gw_interfaces(gw_interface *out, int capacity);
/// The local address that the routing table picks toward `remote`; nothing is sent.
int gw_route(const gw_address *remote, gw_address *local, uint32_t *mtu);

// MARK: The routing socket (Netlink.c)

enum {
    GW_NETLINK_LINKS,
    GW_NETLINK_ADDRESSES,
    GW_NETLINK_ROUTES,
};

/// A socket that hears of changes of links, addresses and routes; needs no privilege.
int gw_netlink_open(void);
/// Asks for everything of one kind; one question at a time, until its answer is complete.
int gw_netlink_dump(int fd, int what, uint32_t sequence);
/// One datagram of messages from the kernel. ENOBUFS: some were lost; EMSGSIZE: this one was longer than the buffer.
intptr_t gw_netlink_receive(int fd, void *buffer, size_t capacity);

// MARK: What outlives a process (Keeping.c)

/// Memory in a descriptor, `size` bytes without a page in it, which nobody can make shorter or longer any more.
int gw_memory_open(const char *name, uint64_t size);
/// Makes memory that is shorter as long as it should be. Returns how long it was.
int64_t gw_memory_extend(int fd, uint64_t size);
/// Shares the memory into this process. NULL: `*error` tells why.
void *gw_memory_map(int fd, uint64_t size, int *error);
int gw_memory_unmap(void *base, uint64_t size);
/// Gives the pages of a range back to the system; they read as zeros.
int gw_memory_punch(int fd, uint64_t offset, uint64_t length);

/// Stores a word behind everything that was stored before, and before everything that will be: for those who read the
/// memory after this process was killed between two instructions.
static inline void gw_publish(void *place, uint64_t value) {
    __atomic_store_n((uint64_t *)place, value, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/// What the kernel counts of a TCP connection, at one moment.
typedef struct gw_tcp_counters {
    uint64_t received;   // tcpi_bytes_received
    uint64_t acknowledged;   // tcpi_bytes_acked
    uint32_t unread;   // SIOCINQ
    uint32_t unacknowledged;   // SIOCOUTQ
    uint8_t state;   // TCP_ESTABLISHED and so on
    uint8_t has_error;
} gw_tcp_counters;

/// EAGAIN: they changed whenever one looked.
int gw_tcp_count(int fd, gw_tcp_counters *out);
/// A number that no other socket gets while the system runs.
int gw_socket_cookie(int fd, uint64_t *cookie);

enum { GW_MOST_DESCRIPTORS = 253 };   // SCM_MAX_FD

/// Two connected ends over which messages and descriptors go, in order; non-blocking.
int gw_channel_open(int ends[2]);
/// Sends one message with up to GW_MOST_DESCRIPTORS descriptors.
intptr_t gw_channel_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count);
/// Receives one message; 0 is the end of the channel. `*descriptor_count` is the room before and the number after.
intptr_t gw_channel_receive(int fd, void *bytes, size_t capacity, int *descriptors, int *descriptor_count);
/// A datagram socket connected to a path or, after '@', an abstract name.
int gw_notify_connect(const char *path);
/// Blocks until one of up to two descriptors is readable, for `milliseconds` at most (-1: any time). Returns which (1, 2, 3 or 0).
int gw_wait_readable(int first, int second, int milliseconds);
/// Blocks until the descriptor can be written, for `milliseconds` at most.
int gw_wait_writable(int fd, int milliseconds);

/// Opens a program for `gw_spawn`; it is the same one whatever becomes of the path.
int gw_program_open(const char *path);
/// Starts a program in a process group of its own. `inherited` stays open in it; its environment is this process's without
/// what a service manager said, and with `variable` ("NAME=value").
int gw_spawn(int program, char *const arguments[], const char *variable, int inherited);
/// A descriptor that becomes readable when the process has ended.
int gw_process_watch(int pid);
/// Takes the end of a process: 0 while it runs, else 1 and `*status`: what it exited with, or the negated signal.
int gw_process_end(int pid, int *status);
int gw_process_signal(int pid, int signal);
/// Makes this process die when the process that started it does. ESRCH: it has died already, or is not `parent`.
int gw_die_with_parent(int parent);
int gw_close_on_exec(int fd);

#endif
