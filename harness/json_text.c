/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

json_t *scr_json_text(const char *text)
{
    json_t *j = text != NULL ? json_string(text) : json_null();
    char *plain;

    if (j != NULL || (plain = strdup(text)) == NULL)
        return j;
    for (char *s = plain; *s != '\0'; s++) {
        if ((unsigned char)*s >= 0x80)
            *s = '?';
    }
    j = json_string(plain);
    free(plain);
    return j;
}
