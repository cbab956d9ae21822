/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_HTML_H
#define SCR_HARNESS_HTML_H

#include <stdio.h>

/* Writes text so that HTML shows it as it is, between tags and in quoted attributes. */
void scr_html_text(const char *text, FILE *f);

#endif
