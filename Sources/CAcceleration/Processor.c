#include "CAcceleration.h"

#if defined(__x86_64__)

#include <cpuid.h>

int godwit_has_aes(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AES) != 0 && (c & bit_PCLMUL) != 0;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

int godwit_has_aes(void) {
    const unsigned long needed = HWCAP_AES | HWCAP_PMULL;
    return (getauxval(AT_HWCAP) & needed) == needed;
}

#else

int godwit_has_aes(void) { return 0; }

#endif
