// What the processor does faster than by libcrypto's means. Nothing here decides anything: rules live in Swift.
#ifndef GODWIT_CACCELERATION_H
#define GODWIT_CACCELERATION_H

#include <stddef.h>
#include <stdint.h>

/// Whether the processor has instructions for AES and for the multiplication of GCM; 0 also where nobody can tell.
int godwit_has_aes(void);

// ---- AES-GCM of Intel's multi-buffer library (intel-ipsec-mb), where its header was there when this was compiled and
// the library itself is there when this runs. It is opened at run time, so that a program that was built with it starts
// without it, too.

/// Whether the library can be used, or why not.
enum godwit_mb_state {
    GODWIT_MB_READY,
    /// Compiled without the library's header.
    GODWIT_MB_LEFT_OUT,
    /// The library is not installed.
    GODWIT_MB_NOT_INSTALLED,
    /// Another version than the one whose header was compiled in, whose structures may differ.
    GODWIT_MB_OTHER_VERSION,
    /// The processor lacks AES or AVX2 instructions.
    GODWIT_MB_NO_INSTRUCTIONS,
    /// The library's test of itself failed.
    GODWIT_MB_BROKEN,
};

/// Opens the library. Called once, before everything else here.
enum godwit_mb_state godwit_mb_open(void);

/// The version of the open library; empty without one. `description` is overwritten and ends with 0.
void godwit_mb_version(char *description, size_t capacity);

/// A key of AES-GCM, expanded, for one thread at a time.
typedef struct godwit_mb_key godwit_mb_key;

/// Expands a key of 16 or 32 bytes; NULL when it has another length, or without the library or memory.
godwit_mb_key *godwit_mb_key_new(const uint8_t *key, size_t length);
/// Wipes and frees.
void godwit_mb_key_free(godwit_mb_key *key);

/// Encrypts `count` bytes at `text` in place and writes the tag of 16 bytes behind them; the nonce has 12 bytes.
void godwit_mb_encrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count);
/// Decrypts `count` bytes at `text` in place; 1 when the tag of 16 bytes behind them is right, which is compared in
/// constant time.
int godwit_mb_decrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count);

#endif
