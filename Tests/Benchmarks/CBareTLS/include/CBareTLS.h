// Handshakes of TLS 1.3 as libssl does them by itself, to compare others with.
#ifndef CBARETLS_H
#define CBARETLS_H

#include <stdint.h>

// Nanoseconds of processor time of the calling thread.
int64_t gwb_thread_nanoseconds(void);

// Does `count` full handshakes between a client and a server in memory, with X25519 and TLS_AES_128_GCM_SHA256, the certificate
// and key in the PEM texts and two session tickets each, and returns the nanoseconds of processor time that the server's calls
// took, making and freeing included; -1 if libssl refuses something.
int64_t gwb_bare_handshakes(const char *certificate, const char *key, long count);

#endif
