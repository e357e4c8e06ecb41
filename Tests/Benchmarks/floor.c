// What a tunnel over QUIC costs at least: its system calls and its ciphers, without any protocol.
//
//     floor DATAGRAM_SIZE SECONDS [NAMESPACE ADDRESS]
//
// One thread reads TCP in large pieces, cuts them into packets with a short header and a STREAM frame's header, seals
// them with AES-128-GCM, protects the headers of the whole run with one call, and sends them with one GSO call. Another
// receives with GRO, removes both protections and writes to TCP. Two more threads feed and drain, and are not counted.
// Given a network namespace, the receiver's sockets are in it, and packets go to this address of it. Printed are `datagram=N floor=F sender=S receiver=R aead=NAME`, three of them in CPU-seconds for 10^9 bytes of payload.
//
// What seals and opens is chosen as in godwit: Intel's multi-buffer library where it is installed and the processor has
// AVX2, unless GODWIT_AEAD=openssl.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#define HAS_MULTI_BUFFER
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#endif

enum {
    header_size = 13,           // flags, a connection ID of 8 bytes, a packet number of 4
    frame_header_size = 13,     // type, stream ID, an offset of 8 bytes, a length of 4 or fewer
    tag_size = 16,
    sample_size = 16,
    read_size = 256 * 1024,     // bytes asked of TCP at once
    most_in_a_run = 65000,      // bytes of one GSO call
    most_segments = 64,         // segments of one GSO call
    most_ahead = 1024 * 1024,   // bytes between sender and receiver, so that nothing is lost
};

static int datagram_size;
static int payload_size;
static atomic_bool stopping;
static atomic_long sent, received, carried;
static int udp_out, udp_in;
static int feed_end, read_end, write_end, drain_end;
static double sender_cpu, receiver_cpu;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double thread_cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(long microseconds) {
    struct timespec t = {0, microseconds * 1000};
    nanosleep(&t, NULL);
}

// The keys of one direction, set once; only the nonce changes.
struct cipher {
    EVP_CIPHER_CTX *seal, *mask;
    uint8_t iv[12];
#ifdef HAS_MULTI_BUFFER
    struct gcm_key_data *expanded;
    struct gcm_context_data scratch;
#endif
};

#ifdef HAS_MULTI_BUFFER
static IMB_MGR *multi_buffer;

static void open_multi_buffer(void) {
    const char *wanted = getenv("GODWIT_AEAD");
    void *library = wanted != NULL && strcmp(wanted, "openssl") == 0 ? NULL : dlopen("libIPSec_MB.so.1", RTLD_NOW);
    if (library == NULL) return;
    IMB_MGR *(*allocate)(uint64_t) = (IMB_MGR * (*)(uint64_t)) dlsym(library, "alloc_mb_mgr");
    void (*initialise)(IMB_MGR *, IMB_ARCH *) = (void (*)(IMB_MGR *, IMB_ARCH *))dlsym(library, "init_mb_mgr_auto");
    if (allocate == NULL || initialise == NULL || (multi_buffer = allocate(0)) == NULL) return;
    IMB_ARCH architecture = IMB_ARCH_NONE;
    initialise(multi_buffer, &architecture);
    if (architecture < IMB_ARCH_AVX2) multi_buffer = NULL;
}
#endif

static struct cipher make_cipher(int encrypting) {
    static const uint8_t key[16] = "a key of a test", mask_key[16] = "another of them";
    struct cipher c = {.seal = EVP_CIPHER_CTX_new(), .mask = EVP_CIPHER_CTX_new(), .iv = "nonce of it"};
    if (!EVP_CipherInit_ex2(c.seal, EVP_aes_128_gcm(), key, NULL, encrypting, NULL) ||
        !EVP_EncryptInit_ex2(c.mask, EVP_aes_128_ecb(), mask_key, NULL, NULL))
        exit(1);
    EVP_CIPHER_CTX_set_padding(c.mask, 0);
#ifdef HAS_MULTI_BUFFER
    if (multi_buffer != NULL) {
        c.expanded = aligned_alloc(64, (sizeof *c.expanded + 63) / 64 * 64);
        IMB_AES128_GCM_PRE(multi_buffer, key, c.expanded);
    }
#endif
    return c;
}

static void make_nonce(const struct cipher *c, uint64_t number, uint8_t *nonce) {
    memcpy(nonce, c->iv, sizeof c->iv);
    for (int i = 0; i < 8; i++) nonce[4 + i] ^= (uint8_t)(number >> (56 - 8 * i));
}

// Encrypts `count` bytes behind the header and writes the tag behind them.
static void seal_packet(struct cipher *c, uint8_t *packet, int count, uint64_t number) {
    uint8_t nonce[sizeof c->iv], *body = packet + header_size;
    int written;
    make_nonce(c, number, nonce);
#ifdef HAS_MULTI_BUFFER
    if (multi_buffer != NULL) {
        IMB_AES128_GCM_ENC(
            multi_buffer, c->expanded, &c->scratch, body, body, count, nonce, packet, header_size, body + count, tag_size);
        return;
    }
#endif
    EVP_CipherInit_ex2(c->seal, NULL, NULL, nonce, -1, NULL);
    EVP_EncryptUpdate(c->seal, NULL, &written, packet, header_size);
    EVP_EncryptUpdate(c->seal, body, &written, body, count);
    EVP_EncryptFinal_ex(c->seal, body + written, &written);
    EVP_CIPHER_CTX_ctrl(c->seal, EVP_CTRL_AEAD_GET_TAG, tag_size, body + count);
}

// Decrypts `count` bytes behind the header; 1 when the tag behind them is right.
static int open_packet(struct cipher *c, uint8_t *packet, int count, uint64_t number) {
    uint8_t nonce[sizeof c->iv], *body = packet + header_size;
    int written;
    make_nonce(c, number, nonce);
#ifdef HAS_MULTI_BUFFER
    if (multi_buffer != NULL) {
        uint8_t tag[tag_size];
        IMB_AES128_GCM_DEC(
            multi_buffer, c->expanded, &c->scratch, body, body, count, nonce, packet, header_size, tag, tag_size);
        return CRYPTO_memcmp(tag, body + count, tag_size) == 0;
    }
#endif
    EVP_CipherInit_ex2(c->seal, NULL, NULL, nonce, -1, NULL);
    EVP_CIPHER_CTX_ctrl(c->seal, EVP_CTRL_AEAD_SET_TAG, tag_size, body + count);
    EVP_DecryptUpdate(c->seal, NULL, &written, packet, header_size);
    EVP_DecryptUpdate(c->seal, body, &written, body, count);
    return EVP_DecryptFinal_ex(c->seal, body + written, &written) == 1;
}

static void apply_mask(uint8_t *packet, const uint8_t *mask) {
    packet[0] ^= mask[0] & 0x1f;
    for (int i = 0; i < 4; i++) packet[9 + i] ^= mask[1 + i];
}

// The masks of a run of packets, with one call.
static void make_masks(struct cipher *c, const uint8_t *run, int length, int segment, uint8_t *masks) {
    uint8_t samples[most_segments * sample_size] = {0};
    int count = 0, ignored;
    for (int at = 0; at < length; at += segment)
        memcpy(samples + sample_size * count++, run + at + header_size, sample_size);
    EVP_EncryptUpdate(c->mask, masks, &ignored, samples, sample_size * count);
}

// Makes packets of `length` bytes of payload; returns their size.
static int seal_run(struct cipher *c, uint8_t *run, const uint8_t *data, int length, uint64_t *number, uint64_t *offset) {
    uint8_t *packet = run;
    for (int at = 0; at < length; at += payload_size) {
        int count = length - at < payload_size ? length - at : payload_size;
        packet[0] = 0x43;
        memcpy(packet + 1, "eight by", 8);
        uint32_t number_field = htonl((uint32_t)*number);
        memcpy(packet + 9, &number_field, 4);
        uint8_t *frame = packet + header_size;
        memset(frame, 0, frame_header_size);
        frame[0] = 0x0e;
        memcpy(frame + 1, offset, 8);
        memcpy(frame + 9, &count, 4);
        memcpy(frame + frame_header_size, data + at, count);
        seal_packet(c, packet, frame_header_size + count, *number);
        packet = frame + frame_header_size + count + tag_size;
        *number += 1;
        *offset += count;
    }
    int size = (int)(packet - run), index = 0;
    uint8_t masks[most_segments * sample_size];
    make_masks(c, run, size, datagram_size, masks);
    for (int at = 0; at < size; at += datagram_size) apply_mask(run + at, masks + sample_size * index++);
    return size;
}

// Opens a run of packets and moves their payload together; returns its size.
static int open_run(struct cipher *c, uint8_t *run, int size, int segment, uint8_t *data) {
    uint8_t masks[most_segments * sample_size];
    int index = 0, total = 0;
    make_masks(c, run, size, segment, masks);
    for (int at = 0; at < size; at += segment) {
        uint8_t *packet = run + at, *frame = packet + header_size;
        int length = (size - at < segment ? size - at : segment) - header_size - tag_size, count;
        apply_mask(packet, masks + sample_size * index++);
        uint32_t number;
        memcpy(&number, packet + 9, 4);
        if (!open_packet(c, packet, length, ntohl(number))) {
            fprintf(stderr, "floor: a packet does not authenticate\n");
            exit(1);
        }
        memcpy(&count, frame + 9, 4);
        memcpy(data + total, frame + frame_header_size, count);
        total += count;
    }
    return total;
}

static void send_run(uint8_t *run, int size) {
    struct iovec piece = {run, size};
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (size > datagram_size) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        uint16_t segment = (uint16_t)datagram_size;
        memcpy(CMSG_DATA(header), &segment, sizeof segment);
    }
    if (sendmsg(udp_out, &message, 0) < 0 && errno != ECONNREFUSED) fail("floor: sendmsg");
}

static int receive_run(uint8_t *run, int size, int *segment) {
    struct iovec piece = {run, size};
    char control[64];
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int count = (int)recvmsg(udp_in, &message, 0);
    *segment = count;
    if (count <= 0) return count;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h))
        if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_GRO) memcpy(segment, CMSG_DATA(h), sizeof *segment);
    return count;
}

static void *send_side(void *unused) {
    struct cipher c = make_cipher(1);
    uint8_t *data = malloc(read_size), *run = malloc(most_in_a_run + 2000);
    int segments = most_in_a_run / datagram_size;
    if (segments > most_segments) segments = most_segments;
    int at_once = segments * payload_size;
    uint64_t number = 0, offset = 0;
    double begin = thread_cpu();
    ssize_t count;
    while ((count = read(read_end, data, read_size)) > 0) {
        for (int at = 0; at < count; at += at_once) {
            int length = count - at < at_once ? (int)count - at : at_once;
            int size = seal_run(&c, run, data + at, length, &number, &offset);
            while (atomic_load(&sent) - atomic_load(&received) > most_ahead && !atomic_load(&stopping)) nap(30);
            atomic_fetch_add(&sent, size);
            send_run(run, size);
        }
    }
    sender_cpu = thread_cpu() - begin;
    return unused;
}

static void *receive_side(void *unused) {
    struct cipher c = make_cipher(0);
    uint8_t *run = malloc(65536), *data = malloc(65536);
    double begin = thread_cpu();
    int size, segment;
    while ((size = receive_run(run, 65536, &segment)) > 1) {
        int total = open_run(&c, run, size, segment, data);
        for (int at = 0; at < total;) {
            ssize_t written = write(write_end, data + at, total - at);
            if (written <= 0) fail("floor: write");
            at += (int)written;
        }
        atomic_fetch_add(&received, size);
        atomic_fetch_add(&carried, total);
    }
    receiver_cpu = thread_cpu() - begin;
    shutdown(write_end, SHUT_WR);
    return unused;
}

static void *feed(void *unused) {
    uint8_t *bytes = calloc(1, read_size);
    while (!atomic_load(&stopping) && write(feed_end, bytes, read_size) > 0) {}
    shutdown(feed_end, SHUT_WR);
    return unused;
}

static void *drain(void *unused) {
    uint8_t *bytes = malloc(read_size);
    while (read(drain_end, bytes, read_size) > 0) {}
    return unused;
}

static struct sockaddr_in loopback(void) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void make_tcp_pair(int *writer, int *reader) {
    struct sockaddr_in address = loopback();
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1)) fail("floor: listen");
    getsockname(listener, (void *)&address, &length);
    *writer = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*writer, (void *)&address, sizeof address)) fail("floor: connect");
    *reader = accept(listener, NULL, NULL);
    close(listener);
}

// Sockets made from here on are in this namespace.
static void enter(const char *namespace) {
    int descriptor = open(namespace, O_RDONLY);
    if (descriptor < 0 || setns(descriptor, CLONE_NEWNET)) fail("floor: namespace");
    close(descriptor);
}

// Takes the IP address and tells the port.
static int make_udp_socket(struct sockaddr_in *address) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), size = 4 * 1024 * 1024;
    socklen_t length = sizeof *address;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    address->sin_family = AF_INET;
    if (bind(descriptor, (void *)address, sizeof *address)) fail("floor: bind");
    getsockname(descriptor, (void *)address, &length);
    return descriptor;
}

int main(int count, char **arguments) {
    datagram_size = count > 2 ? atoi(arguments[1]) : 0;
    double seconds = count > 2 ? atof(arguments[2]) : 0;
    const char *far = count > 4 ? arguments[4] : NULL;
    if (datagram_size < 100 || datagram_size > 65000 || seconds <= 0) {
        fprintf(stderr, "usage: floor DATAGRAM_SIZE SECONDS [NAMESPACE ADDRESS]\n");
        return 2;
    }
    const char *aead = "openssl";
#ifdef HAS_MULTI_BUFFER
    open_multi_buffer();
    if (multi_buffer != NULL) aead = "multi-buffer";
#endif
    payload_size = datagram_size - header_size - frame_header_size - tag_size;
    struct sockaddr_in out = far ? (struct sockaddr_in){0} : loopback(), in = loopback();
    udp_out = make_udp_socket(&out);
    make_tcp_pair(&feed_end, &read_end);
    if (far) {
        char path[256];
        snprintf(path, sizeof path, "/run/netns/%s", arguments[3]);
        enter(path);
        if (inet_pton(AF_INET, far, &in.sin_addr) != 1) fail("floor: address");
    }
    udp_in = make_udp_socket(&in);
    make_tcp_pair(&write_end, &drain_end);
    int on = 1;
    if (connect(udp_out, (void *)&in, sizeof in)) fail("floor: connect");
    if (setsockopt(udp_in, IPPROTO_UDP, UDP_GRO, &on, sizeof on)) fail("floor: UDP_GRO");

    pthread_t feeder, drainer, sender, receiver;
    pthread_create(&drainer, NULL, drain, NULL);
    pthread_create(&receiver, NULL, receive_side, NULL);
    pthread_create(&sender, NULL, send_side, NULL);
    pthread_create(&feeder, NULL, feed, NULL);
    nap(1);
    struct timespec wait = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&wait, NULL);
    atomic_store(&stopping, 1);
    pthread_join(feeder, NULL);
    pthread_join(sender, NULL);
    // A datagram of one byte ends the receiver.
    if (send(udp_out, "x", 1, 0) != 1) fail("floor: send");
    pthread_join(receiver, NULL);
    pthread_join(drainer, NULL);
    double gigabytes = atomic_load(&carried) / 1e9;
    printf("datagram=%d floor=%.3f sender=%.3f receiver=%.3f aead=%s\n", datagram_size,
           (sender_cpu + receiver_cpu) / gigabytes, sender_cpu / gigabytes, receiver_cpu / gigabytes, aead);
    return 0;
}
