/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_JSON_TEXT_H
#define SCR_HARNESS_JSON_TEXT_H

#include <jansson.h>

/*
 * A JSON string of any text. Drivers, programs and the file system give what need not be UTF-8,
 * which jansson refuses: there '?' stands for each byte above 0x7f. NULL gives null. A new
 * reference, or NULL when memory runs out.
 */
json_t *scr_json_text(const char *text);

#endif
