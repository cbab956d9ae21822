/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_ERROR_H
#define SCREENING_ERROR_H

#include <screening/export.h>

SCR_BEGIN_DECLS

/** What a function of this library returns. Zero is success, everything else is negative. */
enum scr_status {
    SCR_OK = 0,
    SCR_ERR_INVALID = -1,     /**< an argument breaks the contract of the function */
    SCR_ERR_NO_MEMORY = -2,   /**< host or device memory is exhausted */
    SCR_ERR_DEVICE = -3,      /**< the driver reported an error; its code is in the log */
    SCR_ERR_UNSUPPORTED = -4, /**< no kernel, or not this configuration, fits device and problem */
    SCR_ERR_COMPILE = -5,     /**< the kernel did not compile; the build log is in the log */
    SCR_ERR_NOT_FOUND = -6,   /**< no such device, kernel or parameter */
};

/** Returns one short sentence for a status, "out of memory". Static storage, never NULL. */
SCR_API const char *scr_status_text(int status);

/** How much a message matters. */
enum scr_log_level {
    SCR_LOG_ERROR = 0,
    SCR_LOG_WARNING = 1,
    SCR_LOG_INFO = 2,
    SCR_LOG_DEBUG = 3,
};

/**
 * Receives the library's messages.
 *
 * @param user   the pointer given with the callback
 * @param level  one of enum scr_log_level
 * @param text   one message, UTF-8, no trailing newline; may hold several lines (a build log);
 *               valid during the call only
 *
 * Called from whichever thread runs the library function, so it must be thread-safe.
 */
typedef void (*scr_log_fn)(void *user, int level, const char *text);

SCR_END_DECLS

#endif
