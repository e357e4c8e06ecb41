// The routing socket of Linux: what is read there is taken apart in Swift.
#include "Private.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

// Bytes of the receive buffer: room for some thousands of notifications between two turns of the loop.
enum { NETLINK_BUFFER = 1 << 20 };

int gw_netlink_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    struct sockaddr_nl local = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
    };
    // What the system grants is enough: notifications that find no room are told as ENOBUFS, and all is read again.
    gw_set_int(fd, SOL_SOCKET, SO_RCVBUF, NETLINK_BUFFER);
    gw_set_int(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int gw_netlink_dump(int fd, int what, uint32_t sequence) {
    struct {
        struct nlmsghdr header;
        union {
            struct ifinfomsg link;
            struct ifaddrmsg address;
            struct rtmsg route;
        } body;
    } request;
    memset(&request, 0, sizeof request);
    size_t body = 0;
    switch (what) {
    case GW_NETLINK_LINKS:
        request.header.nlmsg_type = RTM_GETLINK;
        body = sizeof request.body.link;
        break;
    case GW_NETLINK_ADDRESSES:
        request.header.nlmsg_type = RTM_GETADDR;
        body = sizeof request.body.address;
        break;
    case GW_NETLINK_ROUTES:
        request.header.nlmsg_type = RTM_GETROUTE;
        body = sizeof request.body.route;
        break;
    default: return -EINVAL;
    }
    request.header.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = sequence;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n = sendto(fd, &request, request.header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
    return n < 0 ? -errno : 0;
}

intptr_t gw_netlink_receive(int fd, void *buffer, size_t capacity) {
    struct sockaddr_nl from;
    struct iovec part = {buffer, capacity};
    for (;;) {
        struct msghdr message = {
            .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        // Another process may send to this socket; only the kernel has port 0.
        if (message.msg_namelen < sizeof from || from.nl_pid != 0) continue;
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
    }
}
