/* SPDX-License-Identifier: Apache-2.0
 * The only place that asks which compiler this is: attributes and small language gaps. */
#ifndef HR_BASE_COMPILER_H
#define HR_BASE_COMPILER_H

#define HR_WARN_UNUSED     __attribute__((warn_unused_result))
#define HR_PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define HR_ALIGNED(bytes)  __attribute__((aligned(bytes)))
#define HR_INLINE          static inline __attribute__((always_inline))
#define HR_NOINLINE        __attribute__((noinline))
#define HR_UNUSED          __attribute__((unused))

/* Before a loop of few, constant rounds whose variables must become registers. */
#if defined(__clang__)
#define HR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define HR_UNROLL _Pragma("GCC unroll 32")
#endif

#define HR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_ADDRESS__)
#define HR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HR_ASAN 1
#endif
#endif
#ifndef HR_ASAN
#define HR_ASAN 0
#endif

#endif
