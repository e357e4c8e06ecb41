// The part of OpenSSL's public API that Cryptography and TLS call, with its function-like macros as inline functions.
#ifndef GODWIT_COPENSSL_H
#define GODWIT_COPENSSL_H

#include <openssl/ssl.h>
#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <openssl/rand.h>

#endif
