// The part of OpenSSL's public API that Cryptography and TLS call, with its function-like macros as functions that
// Swift can import. Nothing here decides anything: rules live in Swift.
#ifndef GODWIT_COPENSSL_H
#define GODWIT_COPENSSL_H

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// ---- libcrypto

/// What a memory BIO holds; `*bytes` stays valid until the BIO changes.
static inline size_t godwit_bio_contents(BIO *bio, const uint8_t **bytes) {
    char *start = NULL;
    long count = BIO_get_mem_data(bio, &start);
    *bytes = (const uint8_t *)start;
    return count > 0 ? (size_t)count : 0;
}

static inline int godwit_err_is_end_of_pem(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/// Writes a name on one line, with control characters and bytes above ASCII escaped (RFC 2253).
static inline int godwit_x509_name_print(BIO *bio, const X509_NAME *name) {
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
}

/// A password callback that has no password: without it, OpenSSL would ask on the terminal.
int godwit_no_password(char *buffer, int size, int writing, void *context);

/// Writes an unencrypted PKCS #8 private key.
static inline int godwit_pem_write_private_key(BIO *bio, EVP_PKEY *key) {
    return PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

/// A new key of the given OpenSSL type name; `group` names the curve for "EC", `bits` the size for "RSA".
EVP_PKEY *godwit_generate_key(const char *type, const char *group, size_t bits);

/// Appends a DNS name to a list of subject alternative names; 1 on success.
int godwit_general_names_add_dns(GENERAL_NAMES *names, const char *name, int length);
/// Appends an IP address in text form to a list of subject alternative names; 1 on success, 0 also when it is no address.
int godwit_general_names_add_ip(GENERAL_NAMES *names, const char *address);
/// Adds an extension in OpenSSL's configuration syntax; 1 on success.
int godwit_x509_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value);

// ---- libssl

static inline int godwit_ssl_new_ex_index(void) { return SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL); }

/// TLS 1.3 and nothing else, without the middlebox dialect (RFC 9001 §8.4) and without certificate compression.
static inline int godwit_ssl_ctx_only_tls13(SSL_CTX *context) {
    SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
    SSL_CTX_set_options(context, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
#endif
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1;
}

static inline void godwit_ssl_ctx_prefer_own_ciphers_but_chacha(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}

static inline int godwit_ssl_ctx_set_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}

static inline long godwit_ssl_ctx_set_session_cache_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_session_cache_mode(context, mode);
}

static inline size_t godwit_ssl_ctx_ticket_keys_length(SSL_CTX *context) {
    long count = SSL_CTX_get_tlsext_ticket_keys(context, NULL, 0);
    return count > 0 ? (size_t)count : 0;
}

static inline int godwit_ssl_ctx_set_ticket_keys(SSL_CTX *context, uint8_t *keys, size_t count) {
    return SSL_CTX_set_tlsext_ticket_keys(context, keys, (long)count) == 1;
}

static inline int godwit_ssl_ctx_add_intermediate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

/// Sends the chain that was given, and does not look for one among the trusted certificates with every handshake.
static inline void godwit_ssl_ctx_send_own_chain(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
}

static inline int godwit_ssl_set_server_name(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

static inline void godwit_bio_empty_means_retry(BIO *bio) { BIO_set_mem_eof_return(bio, -1); }

/// The (EC)DHE secret of a client that has processed ServerHello; returns its length, 0 when it cannot be had.
size_t godwit_ssl_shared_secret(SSL *ssl, uint8_t *secret, size_t capacity);

#endif
