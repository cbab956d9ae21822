/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_VERSION_H
#define SCREENING_VERSION_H

#include <screening/export.h>

#define SCR_VERSION_MAJOR 0
#define SCR_VERSION_MINOR 1
#define SCR_VERSION_PATCH 0

/** The version these headers describe, comparable with scr_version(). */
#define SCR_VERSION (SCR_VERSION_MAJOR * 10000 + SCR_VERSION_MINOR * 100 + SCR_VERSION_PATCH)

SCR_BEGIN_DECLS

/** Returns SCR_VERSION as it was when the library was built. */
SCR_API int scr_version(void);

/** Returns the library's version as text, "0.1.0". Static storage. */
SCR_API const char *scr_version_text(void);

SCR_END_DECLS

#endif
