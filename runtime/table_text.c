/* SPDX-License-Identifier: Apache-2.0 */
#include "table_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void scr_text_put(struct scr_text *t, const char *format, ...)
{
    bool room = t->n < t->size;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(room ? t->out + t->n : NULL, room ? t->size - t->n : 0, format, ap);
    va_end(ap);
    t->n += n > 0 ? (size_t)n : 0;
}

void scr_text_put_real(struct scr_text *t, double x)
{
    char text[64], plain[64];
    size_t n = 0;
    bool point = false;

    snprintf(text, sizeof text, "%.9g", x);
    for (const char *s = text; *s != '\0'; s++) {
        bool known = (*s >= '0' && *s <= '9') || strchr("+-einf", *s) != NULL;

        /* All else is the locale's point, of any number of bytes. */
        if (known)
            plain[n++] = *s;
        else if (!point)
            plain[n++] = '.';
        point = !known;
    }
    plain[n] = '\0';
    scr_text_put(t, "%s", plain);
}

void scr_text_put_escaped(struct scr_text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c <= ' ' || c >= 0x7f || c == '%' || c == '=')
            scr_text_put(t, "%%%02X", c);
        else
            scr_text_put(t, "%c", c);
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool scr_text_int(const char *s, size_t n, int32_t least, int32_t *out)
{
    bool minus = n > 0 && s[0] == '-';
    int64_t x = 0;

    if (n == (size_t)minus || n > 11)
        return false;
    for (size_t i = minus; i < n; i++) {
        if (!is_digit(s[i]))
            return false;
        x = 10 * x + (s[i] - '0');
    }
    x = minus ? -x : x;
    if (x < least || x > INT32_MAX)
        return false;
    *out = (int32_t)x;
    return true;
}

/*
 * Exact for up to 15 digits and powers of ten up to 22, which is all that tables have; beyond,
 * within a few units of the last place.
 */
static double scaled(uint64_t digits, int power)
{
    double x = (double)digits;
    double ten = 10;

    if (power < 0 && power >= -22) {
        double by = 1;

        for (int i = 0; i > power; i--)
            by *= 10;
        return x / by;
    }
    for (int left = power < 0 ? -power : power; left > 0; left >>= 1, ten *= ten) {
        if (left & 1)
            x = power < 0 ? x / ten : x * ten;
    }
    return x;
}

bool scr_text_real(const char *s, size_t n, double *out)
{
    uint64_t digits = 0;
    int power = 0, exponent = 0, seen = 0;
    bool point = false, minus;
    size_t i = 0;

    for (; i < n && (is_digit(s[i]) || (s[i] == '.' && !point)); i++) {
        if (s[i] == '.') {
            point = true;
            continue;
        }
        seen++;
        if (digits < UINT64_MAX / 16) {
            digits = 10 * digits + (uint64_t)(s[i] - '0');
            power -= point;
        } else {
            power += !point;
        }
    }
    if (seen == 0 || n > 64)
        return false;
    if (i < n) {
        if (s[i++] != 'e')
            return false;
        minus = i < n && s[i] == '-';
        i += i < n && (s[i] == '-' || s[i] == '+');
        if (i == n || n - i > 3)
            return false;
        for (; i < n; i++) {
            if (!is_digit(s[i]))
                return false;
            exponent = 10 * exponent + (s[i] - '0');
        }
        power += minus ? -exponent : exponent;
    }
    *out = digits == 0 ? 0 : scaled(digits, power);
    return isfinite(*out);
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool scr_text_hex(const char *s, size_t n, size_t digits, uint64_t *out)
{
    uint64_t x = 0;

    if (n != digits)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(s[i]);

        if (d < 0)
            return false;
        x = x << 4 | (uint64_t)d;
    }
    *out = x;
    return true;
}

bool scr_text_unescape(const char *s, size_t n, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];

        if (c == '%') {
            uint64_t byte;

            if (n - i < 3 || !scr_text_hex(s + i + 1, 2, 2, &byte))
                return false;
            c = (int)byte;
            i += 2;
        }
        if (c == '\0' || used + 1 >= size)
            return false;
        out[used++] = (char)c;
    }
    out[used] = '\0';
    return true;
}

uint32_t scr_text_crc32(const char *s, size_t n)
{
    static const uint32_t of_half_byte[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)s[i];
        crc = crc >> 4 ^ of_half_byte[crc & 15];
        crc = crc >> 4 ^ of_half_byte[crc & 15];
    }
    return ~crc;
}
