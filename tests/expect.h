/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that are plain programs: what does not hold is said and counted, and the test goes on.
 */
#ifndef SCR_TESTS_EXPECT_H
#define SCR_TESTS_EXPECT_H

#include <stdio.h>

static int n_failed;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                         \
            n_failed++;                                                                            \
        }                                                                                          \
    } while (0)

#endif
