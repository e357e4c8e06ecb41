#include "Private.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

socklen_t gw_to_sockaddr(const gw_address *address, struct sockaddr_storage *out) {
    if (address->family == 4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        v4.sin_addr.s_addr = htonl((uint32_t)address->low);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    v6.sin6_scope_id = address->scope;
    gw_to_in6(address, &v6.sin6_addr);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}

void gw_from_sockaddr(const struct sockaddr_storage *in, gw_address *out) {
    memset(out, 0, sizeof *out);
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)in;
        out->low = ntohl(v4->sin_addr.s_addr);
        out->port = ntohs(v4->sin_port);
        out->family = 4;
    } else if (in->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)in;
        gw_from_in6(&v6->sin6_addr, out);
        out->port = ntohs(v6->sin6_port);
        out->scope = v6->sin6_scope_id;
    }
}

int gw_set_int(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int gw_socket(const gw_address *address, int type) {
    int fd = socket(address->family == 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

// Closes a half-made socket and hands on the error that stopped its making.
static int give_up(int fd, int error) {
    close(fd);
    return -error;
}

int gw_tcp_listen(const gw_address *local, int backlog) {
    int fd = gw_socket(local, SOCK_STREAM);
    if (fd < 0) return fd;
    struct sockaddr_storage address;
    socklen_t length = gw_to_sockaddr(local, &address);
    gw_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (local->family == 6) gw_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, (struct sockaddr *)&address, length) < 0) return give_up(fd, errno);
    if (listen(fd, backlog) < 0) return give_up(fd, errno);
    return fd;
}

int gw_tcp_connect(const gw_address *remote) {
    int fd = gw_socket(remote, SOCK_STREAM);
    if (fd < 0) return fd;
    struct sockaddr_storage address;
    socklen_t length = gw_to_sockaddr(remote, &address);
    if (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS && errno != EINTR)
        return give_up(fd, errno);
    return fd;
}

int gw_tcp_connected(int fd, const gw_address *remote) {
    struct sockaddr_storage address;
    socklen_t length = gw_to_sockaddr(remote, &address);
    if (connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EISCONN) return 1;
    return errno == EALREADY || errno == EINPROGRESS || errno == EINTR ? 0 : -errno;
}

int gw_accept(int fd, gw_address *peer) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    int accepted = accept4(fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    gw_from_sockaddr(&address, peer);
    return accepted;
}

static void linger_none(int fd, int on) {
    struct linger linger = {.l_onoff = on, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int gw_tcp_tune(int fd, int idle_seconds) {
    linger_none(fd, 1);
    int result = gw_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (result < 0) return result;
    gw_set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return gw_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
}

int gw_tcp_keep_urgent_bytes(int fd) { return gw_set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1); }

int gw_take_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

int gw_local_address(int fd, gw_address *out) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    gw_from_sockaddr(&address, out);
    return 0;
}

int gw_peer_address(int fd, gw_address *out) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    gw_from_sockaddr(&address, out);
    return 0;
}

int gw_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

int gw_abort(int fd) {
    linger_none(fd, 1);
    return close(fd) < 0 ? -errno : 0;
}

int gw_close_in_order(int fd) {
    linger_none(fd, 0);
    return close(fd) < 0 ? -errno : 0;
}

int gw_is_socket(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static int unix_address(const char *path, struct sockaddr_un *out) {
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof out->sun_path) return -ENAMETOOLONG;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, path, length);
    return 0;
}

int gw_unix_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    int result = unix_address(path, &address);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // The mode of the socket is the mode bind gives the file, so that it never stands open even for a moment.
    if (fchmod(fd, 0600) < 0) return give_up(fd, errno);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return give_up(fd, errno);
    if (chmod(path, 0600) < 0 || listen(fd, backlog) < 0) {
        int error = errno;
        unlink(path);
        return give_up(fd, error);
    }
    return fd;
}

int gw_unix_connect(const char *path) {
    struct sockaddr_un address;
    int result = unix_address(path, &address);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return give_up(fd, errno);
    return fd;
}

int gw_peer_user(int fd, uint32_t *user) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *user = credentials.uid;
    return 0;
}
