/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a table: numbers in the C locale's form whatever the locale, escapes, checksums. */
#ifndef SCR_RUNTIME_TABLE_TEXT_H
#define SCR_RUNTIME_TABLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that is being written; n goes on beyond size, as with snprintf. */
struct scr_text {
    char *out;
    size_t n, size;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void scr_text_put(struct scr_text *t, const char *format, ...);
/* Nine digits, "inf" for INFINITY. */
void scr_text_put_real(struct scr_text *t, double x);
/* Blanks, control characters, %, = and all that is not ASCII as %XX. */
void scr_text_put_escaped(struct scr_text *t, const char *s);

/* The n characters at s and no other; *out is undefined where they return false. */
bool scr_text_int(const char *s, size_t n, int32_t least, int32_t *out);
bool scr_text_real(const char *s, size_t n, double *out); /* 12, 0.5, 1.5e-07 */
bool scr_text_hex(const char *s, size_t n, size_t digits, uint64_t *out);
bool scr_text_unescape(const char *s, size_t n, char *out, size_t size);

/* CRC-32 as of zlib, PNG and Ethernet. */
uint32_t scr_text_crc32(const char *s, size_t n);

#endif
