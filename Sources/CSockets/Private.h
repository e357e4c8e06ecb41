// What the files of this target share.
#ifndef GODWIT_CSOCKETS_PRIVATE_H
#define GODWIT_CSOCKETS_PRIVATE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CSockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/// The two directions between `gw_address` and `sockaddr`.
socklen_t gw_to_sockaddr(const gw_address *address, struct sockaddr_storage *out);
void gw_from_sockaddr(const struct sockaddr_storage *in, gw_address *out);

static inline void gw_from_in6(const struct in6_addr *in, gw_address *out) {
    uint64_t high, low;
    __builtin_memcpy(&high, in->s6_addr, 8);
    __builtin_memcpy(&low, in->s6_addr + 8, 8);
    out->high = __builtin_bswap64(high);
    out->low = __builtin_bswap64(low);
    out->family = 6;
}

static inline void gw_to_in6(const gw_address *address, struct in6_addr *out) {
    uint64_t high = __builtin_bswap64(address->high), low = __builtin_bswap64(address->low);
    __builtin_memcpy(out->s6_addr, &high, 8);
    __builtin_memcpy(out->s6_addr + 8, &low, 8);
}

/// A non-blocking socket of the address's family that is closed on exec.
int gw_socket(const gw_address *address, int type);
int gw_set_int(int fd, int level, int option, int value);

#endif
