#include "Private.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint32_t mtu_of(int fd, const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    return ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < 0 ? 0 : (uint32_t)request.ifr_mtu;
}

static uint8_t prefix_length(const struct sockaddr *mask) {
    if (!mask) return 0;
    const uint8_t *bytes;
    size_t count;
    if (mask->sa_family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)mask)->sin_addr;
        count = 4;
    } else if (mask->sa_family == AF_INET6) {
        bytes = (const uint8_t *)&((const struct sockaddr_in6 *)mask)->sin6_addr;
        count = 16;
    } else {
        return 0;
    }
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) bits += (unsigned)__builtin_popcount(bytes[i]);
    return (uint8_t)bits;
}

int gw_interfaces(gw_interface *out, int capacity) {
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0) return -errno;
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int count = 0;
    for (struct ifaddrs *entry = list; entry && count < capacity; entry = entry->ifa_next) {
        if (!entry->ifa_addr) continue;
        int family = entry->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        gw_interface *interface = &out[count++];
        memset(interface, 0, sizeof *interface);
        strncpy(interface->name, entry->ifa_name, sizeof interface->name - 1);
        interface->index = if_nametoindex(entry->ifa_name);
        interface->mtu = probe < 0 ? 0 : mtu_of(probe, entry->ifa_name);
        interface->is_up = (entry->ifa_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
        interface->is_loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
        interface->prefix_length = prefix_length(entry->ifa_netmask);
        struct sockaddr_storage address;
        memset(&address, 0, sizeof address);
        memcpy(&address, entry->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        gw_from_sockaddr(&address, &interface->address);
    }
    if (probe >= 0) close(probe);
    freeifaddrs(list);
    return count;
}

int gw_route(const gw_address *remote, gw_address *local, uint32_t *mtu) {
    int fd = gw_socket(remote, SOCK_DGRAM);
    if (fd < 0) return fd;
    struct sockaddr_storage address;
    socklen_t length = gw_to_sockaddr(remote, &address);
    int result = connect(fd, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
    if (result == 0) result = gw_local_address(fd, local);
    if (result == 0) {
        int value = 0;
        length = sizeof value;
        int is_v4 = remote->family == 4;
        if (getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_MTU : IPV6_MTU, &value, &length) < 0) value = 0;
        *mtu = value < 0 ? 0 : (uint32_t)value;
        local->port = 0;
    }
    close(fd);
    return result;
}

int gw_enter_network(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int result = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
    close(fd);
    return result;
}
