/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_EXPORT_H
#define SCREENING_EXPORT_H

#if defined(__GNUC__)
#define SCR_API __attribute__((visibility("default")))
#else
#define SCR_API
#endif

#ifdef __cplusplus
#define SCR_BEGIN_DECLS extern "C" {
#define SCR_END_DECLS   }
#else
#define SCR_BEGIN_DECLS
#define SCR_END_DECLS
#endif

#endif
