// Both ends of the benchmark's TCP connections, so cheap that they leave the processor to what is measured.
//
//     traffic serve                          prints its port; serves until it is ended
//     traffic download HOST PORT BYTES       prints the seconds it took
//     traffic upload HOST PORT BYTES         the same; the bytes have arrived when it ends
//     traffic echo HOST PORT COUNT           prints `median=M p99=P`, microseconds for a byte and its echo
//     traffic idle HOST PORT COUNT           opens so many connections, prints `idle COUNT`, holds them until it is ended
//
// The first byte of a connection says what it is for: d and eight bytes of length, u, e or i.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { piece = 256 * 1024, stack_size = 128 * 1024 };

static char buffer[piece];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int write_all(int descriptor, const void *bytes, size_t count) {
    for (const char *at = bytes; count > 0;) {
        ssize_t written = write(descriptor, at, count);
        if (written <= 0) return 0;
        at += written;
        count -= written;
    }
    return 1;
}

static int read_all(int descriptor, void *bytes, size_t count) {
    for (char *at = bytes; count > 0;) {
        ssize_t got = read(descriptor, at, count);
        if (got <= 0) return 0;
        at += got;
        count -= got;
    }
    return 1;
}

static int send_bytes(int descriptor, uint64_t count) {
    for (; count > 0;) {
        size_t part = count < piece ? count : piece;
        if (!write_all(descriptor, buffer, part)) return 0;
        count -= part;
    }
    return 1;
}

static uint64_t drain(int descriptor) {
    char *bytes = malloc(piece);
    uint64_t total = 0;
    for (ssize_t got; (got = read(descriptor, bytes, piece)) > 0;) total += got;
    free(bytes);
    return total;
}

static void *serve_one(void *argument) {
    int descriptor = (int)(intptr_t)argument, on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char kind = 0;
    uint64_t count;
    if (read_all(descriptor, &kind, 1)) switch (kind) {
        case 'd':
            if (read_all(descriptor, &count, sizeof count)) send_bytes(descriptor, count);
            break;
        case 'u':
            count = drain(descriptor);
            write_all(descriptor, &count, sizeof count);
            break;
        case 'e':
            for (char byte; read_all(descriptor, &byte, 1);)
                if (!write_all(descriptor, &byte, 1)) break;
            break;
        case 'i':
            // Kept open without a thread.
            write_all(descriptor, "i", 1);
            return NULL;
        }
    close(descriptor);
    return NULL;
}

_Noreturn static void serve(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, length) || listen(listener, 4096)) fail("traffic: listen");
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_size);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int descriptor = accept(listener, NULL, NULL);
        if (descriptor < 0) fail("traffic: accept");
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve_one, (void *)(intptr_t)descriptor)) fail("traffic: thread");
    }
}

static int dial(const char *host, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("traffic: the host must be an IPv4 address");
    int descriptor = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (connect(descriptor, (void *)&address, sizeof address)) fail("traffic: connect");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

static int download(int descriptor, uint64_t count) {
    double begin = now();
    if (!write_all(descriptor, "d", 1) || !write_all(descriptor, &count, sizeof count)) fail("traffic: write");
    uint64_t got = drain(descriptor);
    if (got != count) {
        fprintf(stderr, "traffic: %llu bytes came instead of %llu\n", (unsigned long long)got, (unsigned long long)count);
        return 1;
    }
    printf("%.3f\n", now() - begin);
    return 0;
}

static int upload(int descriptor, uint64_t count) {
    double begin = now();
    uint64_t got = 0;
    if (!write_all(descriptor, "u", 1) || !send_bytes(descriptor, count)) fail("traffic: write");
    shutdown(descriptor, SHUT_WR);
    if (!read_all(descriptor, &got, sizeof got) || got != count) {
        fprintf(stderr, "traffic: %llu bytes arrived instead of %llu\n", (unsigned long long)got,
                (unsigned long long)count);
        return 1;
    }
    printf("%.3f\n", now() - begin);
    return 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int echo(int descriptor, size_t count) {
    double *times = calloc(count, sizeof *times);
    char byte = 0;
    if (!write_all(descriptor, "e", 1)) fail("traffic: write");
    for (size_t i = 0; i < count; i++) {
        double begin = now();
        if (!write_all(descriptor, "x", 1) || !read_all(descriptor, &byte, 1)) fail("traffic: echo");
        times[i] = (now() - begin) * 1e6;
        // As fast as a fast typist's machine, not in a loop that keeps everything awake.
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
    }
    qsort(times, count, sizeof *times, ascending);
    printf("median=%.0f p99=%.0f\n", times[count / 2], times[count * 99 / 100]);
    return 0;
}

_Noreturn static void idle(const char *host, const char *port, int count) {
    char byte;
    for (int i = 0; i < count; i++) {
        int descriptor = dial(host, port);
        if (!write_all(descriptor, "i", 1) || !read_all(descriptor, &byte, 1)) fail("traffic: idle");
    }
    printf("idle %d\n", count);
    fflush(stdout);
    for (;;) pause();
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const char *what = count > 1 ? arguments[1] : "";
    if (count == 2 && !strcmp(what, "serve")) serve();
    if (count == 5) {
        const char *host = arguments[2], *port = arguments[3];
        long long number = atoll(arguments[4]);
        if (number <= 0) fail("traffic: the number must be above 0");
        if (!strcmp(what, "download")) return download(dial(host, port), number);
        if (!strcmp(what, "upload")) return upload(dial(host, port), number);
        if (!strcmp(what, "echo")) return echo(dial(host, port), number);
        if (!strcmp(what, "idle")) idle(host, port, (int)number);
    }
    fprintf(stderr, "usage: traffic serve | download|upload|echo|idle HOST PORT NUMBER\n");
    return 2;
}
