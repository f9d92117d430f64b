/* SPDX-License-Identifier: Apache-2.0
 * What this CPU can do (CPUID and XGETBV), and the switch that flushes denormals. */
#include "base/cpu.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#endif

static struct hr_cpu detected;
static pthread_once_t detect_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
static uint64_t enabled_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Leaf 7: AVX2 needs the system to save ymm, AVX-512 zmm and mask registers too. */
static uint32_t detect_flags(void)
{
    uint32_t a, b, c, d, flags = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    const bool fma = c & bit_FMA, half = c & bit_F16C;
    const uint64_t state = enabled_state();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (state & 0x6) != 0x6)
        return 0;
    if (fma && half && (b & bit_AVX2) && (b & bit_BMI2))
        flags |= HR_CPU_AVX2;
    const uint32_t base =
        (uint32_t)bit_AVX512F | bit_AVX512CD | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((flags & HR_CPU_AVX2) && (b & base) == base && (state & 0xe6) == 0xe6) {
        flags |= HR_CPU_AVX512;
        flags |= c & bit_AVX512VNNI ? HR_CPU_VNNI : 0;
        flags |= d & (1u << 23) ? HR_CPU_FP16 : 0; /* AVX512-FP16 */
    }
    return flags;
}

static void detect_name(char name[64])
{
    uint32_t brand[13] = { 0 };
    if ((uint32_t)__get_cpuid_max(0x80000000, NULL) < 0x80000004u)
        return;
    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2],
                    &brand[4 * i + 3]);
    const char *text = (const char *)brand;
    while (*text == ' ')
        text++;
    snprintf(name, 64, "%s", text);
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--)
        name[end - 1] = '\0';
}
#else
static uint32_t detect_flags(void)
{
    return 0;
}
static void detect_name(char name[64])
{
    name[0] = '\0';
}
#endif

static size_t cache_bytes(int name)
{
    const long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : 0;
}

static void detect(void)
{
    detected.flags = detect_flags();
    detect_name(detected.name);
#ifdef _SC_LEVEL1_DCACHE_SIZE
    detected.l1d_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE);
    detected.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
    detected.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
#endif
}

const struct hr_cpu *hr_cpu_get(void)
{
    pthread_once(&detect_once, detect);
    return &detected;
}

#if defined(__x86_64__)
#define FLUSH_TO_ZERO      0x8000u
#define DENORMALS_ARE_ZERO 0x0040u
uint32_t hr_fp_enter(void)
{
    const uint32_t saved = _mm_getcsr();
    /* All exceptions masked, round to nearest: what the kernels' contracts assume. */
    _mm_setcsr(0x1f80u | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    return saved;
}
void hr_fp_leave(uint32_t saved)
{
    _mm_setcsr(saved);
}
#elif defined(__aarch64__)
uint32_t hr_fp_enter(void)
{
    const uint64_t flush_to_zero = (uint64_t)1 << 24; /* FPCR.FZ: inputs and results */
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | flush_to_zero));
    return (uint32_t)saved;
}
void hr_fp_leave(uint32_t saved)
{
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)saved));
}
#else
uint32_t hr_fp_enter(void)
{
    return 0;
}
void hr_fp_leave(uint32_t saved)
{
    (void)saved;
}
#endif
