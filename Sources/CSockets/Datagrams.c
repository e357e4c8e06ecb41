#include "Private.h"

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// Room for the three control messages of one entry: local address, ECN, segment size.
enum { CONTROL_SIZE = 128 };

static int configure(int fd, const gw_address *local, int flags) {
    int is_v4 = local->family == 4;
    int level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
    int result = is_v4 ? 0 : gw_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (result == 0 && (flags & GW_UDP_SHARE_PORT)) result = gw_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    // A socket bound to one address knows what its datagrams were sent to; only a wildcard has to ask.
    int is_wildcard = local->high == 0 && local->low == 0;
    if (result == 0 && is_wildcard)
        result = is_v4 ? gw_set_int(fd, level, IP_PKTINFO, 1) : gw_set_int(fd, level, IPV6_RECVPKTINFO, 1);
    if (result == 0) result = gw_set_int(fd, level, is_v4 ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
    // RFC 9000 §14: QUIC sets don't-fragment. PROBE also keeps the kernel's own path MTU out of it.
    if (result == 0)
        result = is_v4 ? gw_set_int(fd, level, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
                       : gw_set_int(fd, level, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    if (result == 0 && !(flags & GW_UDP_NO_RECEIVE_OFFLOAD)) gw_set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
    return result;
}

// Unprivileged since Linux 5.7, while no other device is bound. A refusal leaves the route to the routing table.
static int keep_to_device(int fd, const char *device, int *keeps) {
    if (!device) return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) < 0)
        return errno == ENODEV ? -ENODEV : 0;
    *keeps = 1;
    return 0;
}

int gw_udp_open(const gw_address *local, const char *device, int flags, int *keeps_to_device) {
    *keeps_to_device = 0;
    int fd = gw_socket(local, SOCK_DGRAM);
    if (fd < 0) return fd;
    struct sockaddr_storage address;
    socklen_t length = gw_to_sockaddr(local, &address);
    int result = configure(fd, local, flags);
    if (result == 0) result = keep_to_device(fd, device, keeps_to_device);
    if (result == 0 && bind(fd, (struct sockaddr *)&address, length) < 0) result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

static int set_buffer(int fd, int forced, int plain, int size) {
    if (gw_set_int(fd, SOL_SOCKET, forced, size) < 0) gw_set_int(fd, SOL_SOCKET, plain, size);
    int got = 0;
    socklen_t length = sizeof got;
    getsockopt(fd, SOL_SOCKET, plain, &got, &length);
    return got;
}

void gw_udp_set_buffers(int fd, int receive, int send, int *got_receive, int *got_send) {
    *got_receive = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receive);
    *got_send = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, send);
}

int gw_udp_has_receive_offload(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &length) == 0 && value != 0;
}

int gw_udp_steer_by_connection_id(int fd, uint32_t group_size) {
    // The program sees the UDP payload. RFC 8999 §5: a long header has the first bit set and its destination
    // connection ID at byte 6; a short header's stands at byte 1. A load past the end selects socket 0.
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, group_size),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) < 0 ? -errno : 0;
}

// MARK: Receiving

struct gw_receive_batch {
    int capacity;
    size_t entry_size;
    uint8_t *bytes;
    struct mmsghdr *headers;
    struct iovec *parts;
    struct sockaddr_storage *senders;
    uint8_t (*control)[CONTROL_SIZE];
    gw_received *entries;
};

gw_receive_batch *gw_receive_batch_new(int capacity, size_t entry_size) {
    gw_receive_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->capacity = capacity;
    batch->entry_size = entry_size;
    batch->bytes = malloc((size_t)capacity * entry_size);
    batch->headers = calloc((size_t)capacity, sizeof *batch->headers);
    batch->parts = calloc((size_t)capacity, sizeof *batch->parts);
    batch->senders = calloc((size_t)capacity, sizeof *batch->senders);
    batch->control = calloc((size_t)capacity, CONTROL_SIZE);
    batch->entries = calloc((size_t)capacity, sizeof *batch->entries);
    if (!batch->bytes || !batch->headers || !batch->parts || !batch->senders || !batch->control || !batch->entries) {
        gw_receive_batch_free(batch);
        return NULL;
    }
    for (int i = 0; i < capacity; i++) {
        batch->parts[i] = (struct iovec){batch->bytes + (size_t)i * entry_size, entry_size};
        batch->headers[i].msg_hdr.msg_iov = &batch->parts[i];
        batch->headers[i].msg_hdr.msg_iovlen = 1;
        batch->headers[i].msg_hdr.msg_name = &batch->senders[i];
        batch->headers[i].msg_hdr.msg_control = batch->control[i];
    }
    return batch;
}

void gw_receive_batch_free(gw_receive_batch *batch) {
    if (!batch) return;
    free(batch->bytes);
    free(batch->headers);
    free(batch->parts);
    free(batch->senders);
    free(batch->control);
    free(batch->entries);
    free(batch);
}

uint8_t *gw_receive_batch_bytes(gw_receive_batch *batch, int index) {
    return batch->bytes + (size_t)index * batch->entry_size;
}

const gw_received *gw_receive_batch_entry(const gw_receive_batch *batch, int index) { return &batch->entries[index]; }

static void read_control(struct msghdr *header, gw_received *entry) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            entry->segment = (uint16_t)size;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            entry->ecn = *CMSG_DATA(c) & 3;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int class;
            memcpy(&class, CMSG_DATA(c), sizeof class);
            entry->ecn = class & 3;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            entry->to.low = ntohl(info.ipi_addr.s_addr);
            entry->to.family = 4;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            gw_from_in6(&info.ipi6_addr, &entry->to);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) entry->to.scope = info.ipi6_ifindex;
        }
    }
}

int gw_udp_receive(int fd, gw_receive_batch *batch, int limit) {
    if (limit > batch->capacity) limit = batch->capacity;
    for (int i = 0; i < limit; i++) {
        batch->headers[i].msg_hdr.msg_namelen = sizeof batch->senders[i];
        batch->headers[i].msg_hdr.msg_controllen = CONTROL_SIZE;
        batch->headers[i].msg_hdr.msg_flags = 0;
    }
    int count = recvmmsg(fd, batch->headers, (unsigned)limit, MSG_DONTWAIT, NULL);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        gw_received *entry = &batch->entries[i];
        memset(entry, 0, sizeof *entry);
        gw_from_sockaddr(&batch->senders[i], &entry->from);
        entry->length = batch->headers[i].msg_len;
        entry->truncated = (batch->headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        read_control(&batch->headers[i].msg_hdr, entry);
    }
    return count;
}

int gw_receive_batch_drop_truncated(gw_receive_batch *batch, int count) {
    int dropped = 0;
    for (int i = 0; i < count; i++)
        if (batch->entries[i].truncated) {
            batch->entries[i].length = 0;
            dropped++;
        }
    return dropped;
}

int gw_udp_report_network_errors(int fd, int family, int on) {
    int result = family == 4 ? gw_set_int(fd, IPPROTO_IP, IP_RECVERR, on) : gw_set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
    if (result == 0 && !on) {
        // The queue was emptied by the kernel; the pending error would fail the next call.
        int pending;
        socklen_t length = sizeof pending;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &length);
    }
    return result;
}

int gw_udp_take_network_error(int fd, gw_address *to) {
    struct sockaddr_storage address;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE + sizeof(struct sock_extended_err) + sizeof address];
    for (;;) {
        memset(&address, 0, sizeof address);
        struct msghdr message = {
            .msg_name = &address, .msg_namelen = sizeof address, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (n < 0) return errno == EINTR ? -EAGAIN : -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
            int is_v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
            int is_v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
            if (!is_v4 && !is_v6) continue;
            struct sock_extended_err error;
            memcpy(&error, CMSG_DATA(c), sizeof error);
            // What this machine found out by itself was the result of a send.
            if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) continue;
            gw_from_sockaddr(&address, to);
            return (int)error.ee_errno;
        }
    }
}

// MARK: Sending

typedef struct {
    struct sockaddr_storage to;
    struct iovec part;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
} outgoing_parts;

static struct cmsghdr *put_control(struct msghdr *message, int level, int type, const void *value, size_t size) {
    struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), value, size);
    message->msg_controllen += CMSG_SPACE(size);
    return c;
}

static void put_source(struct msghdr *message, const gw_address *from) {
    if (from->family == 4) {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl((uint32_t)from->low)};
        put_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (from->family == 6) {
        struct in6_pktinfo info = {.ipi6_ifindex = from->scope};
        gw_to_in6(from, &info.ipi6_addr);
        put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

static void describe(const gw_outgoing *outgoing, struct msghdr *message, outgoing_parts *parts) {
    memset(message, 0, sizeof *message);
    parts->part = (struct iovec){(void *)outgoing->bytes, outgoing->length};
    message->msg_name = &parts->to;
    message->msg_namelen = gw_to_sockaddr(&outgoing->to, &parts->to);
    message->msg_iov = &parts->part;
    message->msg_iovlen = 1;
    message->msg_control = parts->control;
    put_source(message, &outgoing->from);
    int ecn = outgoing->ecn;
    if (ecn != 0 && outgoing->to.family == 4) put_control(message, IPPROTO_IP, IP_TOS, &ecn, sizeof ecn);
    if (ecn != 0 && outgoing->to.family == 6) put_control(message, IPPROTO_IPV6, IPV6_TCLASS, &ecn, sizeof ecn);
    if (outgoing->segment != 0 && outgoing->length > outgoing->segment)
        put_control(message, IPPROTO_UDP, UDP_SEGMENT, &outgoing->segment, sizeof outgoing->segment);
    if (message->msg_controllen == 0) message->msg_control = NULL;
}

intptr_t gw_udp_send(int fd, const gw_outgoing *outgoing) {
    struct msghdr message;
    outgoing_parts parts;
    describe(outgoing, &message, &parts);
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int gw_udp_send_many(int fd, const gw_outgoing *outgoing, int count) {
    struct mmsghdr messages[GW_SEND_BATCH];
    outgoing_parts parts[GW_SEND_BATCH];
    if (count > GW_SEND_BATCH) count = GW_SEND_BATCH;
    for (int i = 0; i < count; i++) describe(&outgoing[i], &messages[i].msg_hdr, &parts[i]);
    int n;
    do n = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

intptr_t gw_udp_send_cut(int fd, const gw_outgoing *outgoing) {
    struct mmsghdr messages[GW_SEND_BATCH];
    struct iovec cuts[GW_SEND_BATCH];
    outgoing_parts parts;
    gw_outgoing whole = *outgoing;
    whole.segment = 0;
    size_t step = outgoing->segment ? outgoing->segment : outgoing->length;
    struct msghdr shared;
    describe(&whole, &shared, &parts);
    size_t offset = 0;
    int count = 0;
    // An empty datagram is a datagram.
    do {
        size_t left = outgoing->length - offset;
        cuts[count] = (struct iovec){(void *)(outgoing->bytes + offset), left < step ? left : step};
        messages[count].msg_hdr = shared;
        messages[count].msg_hdr.msg_iov = &cuts[count];
        offset += cuts[count].iov_len;
        count++;
    } while (offset < outgoing->length && count < GW_SEND_BATCH);
    int n;
    do n = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    ssize_t sent = 0;
    for (int i = 0; i < n; i++) sent += (ssize_t)cuts[i].iov_len;
    return sent;
}
