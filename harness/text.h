/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_TEXT_H
#define SCR_HARNESS_TEXT_H

#include <stddef.h>

/* Appends to a text in a buffer of `size` bytes, printf format; cuts at its end. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void scr_append(char *out, size_t size, const char *format, ...);

#endif
