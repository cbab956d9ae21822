/* SPDX-License-Identifier: Apache-2.0 */
/* Storage types on the host: f16 (IEEE binary16) and bf16, round to nearest even. */
#ifndef SCR_KERNELS_REF_CONVERT_H
#define SCR_KERNELS_REF_CONVERT_H

#include <screening/problem.h>

#include <stddef.h>
#include <stdint.h>

float scr_f16_to_f32(uint16_t h);
uint16_t scr_f32_to_f16(float f); /* overflow gives infinity, NaN stays NaN */
float scr_bf16_to_f32(uint16_t h);
uint16_t scr_f32_to_bf16(float f);

/* n elements from or to storage of type t. */
void scr_load_f32(float *dst, const void *src, scr_dtype t, size_t n);
void scr_load_f64(double *dst, const void *src, scr_dtype t, size_t n);
void scr_store_f32(void *dst, const float *src, scr_dtype t, size_t n);

#endif
