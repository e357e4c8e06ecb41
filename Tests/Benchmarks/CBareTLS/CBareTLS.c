#include "CBareTLS.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <time.h>

enum {
    tickets = 2,        // as many as a gateway sends
    most_flights = 4,   // turns after which a handshake is given up
};

int64_t gwb_thread_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static SSL_CTX *make_context(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (context && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1 && SSL_CTX_set1_groups_list(context, "X25519") == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static int use_identity(SSL_CTX *context, const char *certificate, const char *key) {
    BIO *certificate_text = BIO_new_mem_buf(certificate, -1);
    BIO *key_text = BIO_new_mem_buf(key, -1);
    X509 *own = PEM_read_bio_X509(certificate_text, NULL, NULL, NULL);
    EVP_PKEY *secret = PEM_read_bio_PrivateKey(key_text, NULL, NULL, NULL);
    int done = own && secret && SSL_CTX_use_certificate(context, own) == 1 && SSL_CTX_use_PrivateKey(context, secret) == 1;
    X509_free(own);
    EVP_PKEY_free(secret);
    BIO_free(certificate_text);
    BIO_free(key_text);
    return done;
}

static SSL *make_end(SSL_CTX *context) {
    SSL *end = SSL_new(context);
    if (end) SSL_set_bio(end, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return end;
}

// Moves what one end has written to where the other reads.
static void carry(SSL *from, SSL *to) {
    char bytes[16384];
    int count;
    while ((count = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0) BIO_write(SSL_get_rbio(to), bytes, count);
}

// One handshake; returns what the server's calls took, or -1.
static int64_t shake_hands(SSL_CTX *server_context, SSL_CTX *client_context) {
    SSL *client = make_end(client_context);
    int64_t start = gwb_thread_nanoseconds();
    SSL *server = make_end(server_context);
    int64_t spent = gwb_thread_nanoseconds() - start;
    int done = client && server;
    if (done) {
        SSL_set_connect_state(client);
        SSL_set_accept_state(server);
        for (int flight = 0; flight < most_flights && !SSL_is_init_finished(server); flight++) {
            SSL_do_handshake(client);
            carry(client, server);
            start = gwb_thread_nanoseconds();
            SSL_do_handshake(server);
            spent += gwb_thread_nanoseconds() - start;
            carry(server, client);
        }
        // The client takes the tickets.
        char byte;
        SSL_read(client, &byte, 1);
        done = SSL_is_init_finished(server) && SSL_is_init_finished(client) && !SSL_session_reused(server);
    }
    start = gwb_thread_nanoseconds();
    SSL_free(server);
    spent += gwb_thread_nanoseconds() - start;
    SSL_free(client);
    return done ? spent : -1;
}

int64_t gwb_bare_handshakes(const char *certificate, const char *key, long count) {
    SSL_CTX *server = make_context(TLS_server_method());
    SSL_CTX *client = make_context(TLS_client_method());
    int64_t sum = -1;
    if (server && client && use_identity(server, certificate, key) && SSL_CTX_set_num_tickets(server, tickets) == 1) {
        SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
        sum = 0;
        for (long index = 0; index < count && sum >= 0; index++) {
            int64_t spent = shake_hands(server, client);
            sum = spent < 0 ? -1 : sum + spent;
        }
    }
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return sum;
}
