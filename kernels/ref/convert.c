/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/convert.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Without branches, so that loops over it vectorise. Scaling by 2^112 is exact also for subnormals.
 */
float scr_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t magnitude = h & 0x7fffu;
    uint32_t finite = bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f);
    uint32_t special = 0x7f800000u | magnitude << 13;

    return float_of_bits(sign | (magnitude >= 0x7c00u ? special : finite));
}

uint16_t scr_f32_to_f16(float f)
{
    uint32_t bits = bits_of_float(f);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    /* 65520, half way between the largest finite number and 2^16, and all above it */
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
        /* Subnormal: adding 0.5 rounds at 2^-24, the unit of the result, to nearest even. */
        half = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
        return (uint16_t)(sign | half);
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    half = (magnitude >> 13) - (112u << 10);
    return (uint16_t)(sign | half);
}

float scr_bf16_to_f32(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

uint16_t scr_f32_to_bf16(float f)
{
    uint32_t bits = bits_of_float(f);

    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void scr_load_f32(float *dst, const void *src, scr_dtype t, size_t n)
{
    const uint16_t *h = src;

    if (t == SCR_F32) {
        memcpy(dst, src, n * sizeof *dst);
    } else if (t == SCR_F16) {
        for (size_t i = 0; i < n; i++)
            dst[i] = scr_f16_to_f32(h[i]);
    } else {
        for (size_t i = 0; i < n; i++)
            dst[i] = scr_bf16_to_f32(h[i]);
    }
}

void scr_load_f64(double *dst, const void *src, scr_dtype t, size_t n)
{
    const float *f = src;
    const uint16_t *h = src;

    if (t == SCR_F32) {
        for (size_t i = 0; i < n; i++)
            dst[i] = f[i];
    } else if (t == SCR_F16) {
        for (size_t i = 0; i < n; i++)
            dst[i] = scr_f16_to_f32(h[i]);
    } else {
        for (size_t i = 0; i < n; i++)
            dst[i] = scr_bf16_to_f32(h[i]);
    }
}

void scr_store_f32(void *dst, const float *src, scr_dtype t, size_t n)
{
    uint16_t *h = dst;

    if (t == SCR_F32) {
        memcpy(dst, src, n * sizeof *src);
    } else if (t == SCR_F16) {
        for (size_t i = 0; i < n; i++)
            h[i] = scr_f32_to_f16(src[i]);
    } else {
        for (size_t i = 0; i < n; i++)
            h[i] = scr_f32_to_bf16(src[i]);
    }
}
