#define _GNU_SOURCE
#include "CAcceleration.h"

// The library exists for x86-64 only.
#if defined(__x86_64__) && !defined(GODWIT_WITHOUT_MULTI_BUFFER)
#if __has_include(<intel-ipsec-mb.h>)
#define HAS_HEADER
#endif
#endif

#ifdef HAS_HEADER

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { tag_size = 16, key_alignment = 64 };

struct cipher {
    aes_gcm_pre_t expand;
    aes_gcm_enc_dec_t encrypt, decrypt;
};

// Written by `godwit_mb_open` alone.
static struct cipher aes128, aes256;
static unsigned version;

struct godwit_mb_key {
    struct gcm_key_data expanded;
    struct gcm_context_data scratch;
    struct cipher cipher;
};

enum godwit_mb_state godwit_mb_open(void) {
    // The major version is that of the file's name.
    void *library = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return GODWIT_MB_NOT_INSTALLED;
    unsigned (*get_version)(void) = (unsigned (*)(void))dlsym(library, "imb_get_version");
    IMB_MGR *(*allocate)(uint64_t) = (IMB_MGR * (*)(uint64_t)) dlsym(library, "alloc_mb_mgr");
    void (*initialise)(IMB_MGR *, IMB_ARCH *) = (void (*)(IMB_MGR *, IMB_ARCH *))dlsym(library, "init_mb_mgr_auto");
    void (*release)(IMB_MGR *) = (void (*)(IMB_MGR *))dlsym(library, "free_mb_mgr");
    // Minor versions add to the structures.
    if (get_version == NULL || allocate == NULL || initialise == NULL || release == NULL ||
        get_version() >> 8 != IMB_VERSION_NUM >> 8)
        return GODWIT_MB_OTHER_VERSION;
    version = get_version();
    IMB_MGR *manager = allocate(0);
    if (manager == NULL) return GODWIT_MB_BROKEN;
    IMB_ARCH architecture = IMB_ARCH_NONE;
    initialise(manager, &architecture);
    const uint64_t features = manager->features, needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_AVX2;
    enum godwit_mb_state state = GODWIT_MB_READY;
    if ((features & needed) != needed || architecture < IMB_ARCH_AVX2) state = GODWIT_MB_NO_INSTRUCTIONS;
    else if ((features & IMB_FEATURE_SELF_TEST) && !(features & IMB_FEATURE_SELF_TEST_PASS)) state = GODWIT_MB_BROKEN;
    // The functions stay when the manager, which is made for queues of jobs, goes.
    aes128 = (struct cipher){manager->gcm128_pre, manager->gcm128_enc, manager->gcm128_dec};
    aes256 = (struct cipher){manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec};
    release(manager);
    return state;
}

void godwit_mb_version(char *description, size_t capacity) {
    snprintf(description, capacity, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

godwit_mb_key *godwit_mb_key_new(const uint8_t *key, size_t length) {
    const struct cipher *cipher = length == 16 ? &aes128 : length == 32 ? &aes256 : NULL;
    if (cipher == NULL || cipher->expand == NULL) return NULL;
    size_t size = (sizeof(godwit_mb_key) + key_alignment - 1) / key_alignment * key_alignment;
    godwit_mb_key *new = aligned_alloc(key_alignment, size);
    if (new == NULL) return NULL;
    memset(new, 0, sizeof *new);
    new->cipher = *cipher;
    cipher->expand(key, &new->expanded);
    return new;
}

void godwit_mb_key_free(godwit_mb_key *key) {
    if (key == NULL) return;
    explicit_bzero(key, sizeof *key);
    free(key);
}

void godwit_mb_encrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count) {
    key->cipher.encrypt(
        &key->expanded, &key->scratch, text, text, count, nonce, additional, additional_count, text + count, tag_size);
}

int godwit_mb_decrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count) {
    uint64_t made[2], found[2];
    key->cipher.decrypt(
        &key->expanded, &key->scratch, text, text, count, nonce, additional, additional_count, (uint8_t *)made, tag_size);
    memcpy(found, text + count, sizeof found);
    return ((made[0] ^ found[0]) | (made[1] ^ found[1])) == 0;
}

#else

enum godwit_mb_state godwit_mb_open(void) { return GODWIT_MB_LEFT_OUT; }

void godwit_mb_version(char *description, size_t capacity) {
    if (capacity > 0) *description = 0;
}

godwit_mb_key *godwit_mb_key_new(const uint8_t *key, size_t length) {
    (void)key;
    (void)length;
    return NULL;
}

void godwit_mb_key_free(godwit_mb_key *key) { (void)key; }

void godwit_mb_encrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count) {
    (void)key;
    (void)nonce;
    (void)additional;
    (void)additional_count;
    (void)text;
    (void)count;
    __builtin_trap();
}

int godwit_mb_decrypt(
    godwit_mb_key *key, const uint8_t *nonce, const uint8_t *additional, size_t additional_count, uint8_t *text,
    size_t count) {
    (void)key;
    (void)nonce;
    (void)additional;
    (void)additional_count;
    (void)text;
    (void)count;
    return 0;
}

#endif
