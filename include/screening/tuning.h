/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lookup table: which configuration was measured to be fastest for a device and a shape. A
 * context reads its tables once, when it is created; nothing here measures, writes or compiles.
 *
 * Tables, in this order: the file named by the environment variable SCR_TABLE, the user's
 * ($XDG_CONFIG_HOME/screening/table, else ~/.config/screening/table), the system's
 * (SYSCONFDIR/screening/table) and the one built into the library. screening-table(5) has the
 * format.
 */
#ifndef SCREENING_TUNING_H
#define SCREENING_TUNING_H

#include <screening/device.h>
#include <screening/export.h>
#include <screening/plan.h>
#include <screening/problem.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

SCR_BEGIN_DECLS

/** What a caller knows of its data. Zero-initialised it says that nothing is known. */
typedef struct scr_hint {
    /** tokens: mean over the heads of min(w, len_k); INFINITY: no window; 0: unknown */
    double window;
    /** live pairs / admissible pairs, in (0, 1]; 0: unknown (nothing alive: a tiny number) */
    double pair_density;
} scr_hint;

/** How near the entry that was used is to the device, best first. */
typedef enum scr_match_level {
    SCR_MATCH_DEVICE = 0,  /**< backend, name and compute units */
    SCR_MATCH_ARCH = 1,    /**< backend and architecture */
    SCR_MATCH_VENDOR = 2,  /**< backend, vendor, and both or neither a CPU */
    SCR_MATCH_DEFAULT = 3, /**< no entry: the default of the kernel's declaration */
} scr_match_level;

/** "device", "architecture", "vendor", "default". Static storage. */
SCR_API const char *scr_match_level_name(scr_match_level level);

/** The table an entry comes from. */
typedef enum scr_table_source {
    SCR_TABLE_NONE = 0, /**< no entry was used */
    SCR_TABLE_GIVEN,    /**< scr_context_options.table */
    SCR_TABLE_ENV,
    SCR_TABLE_USER,
    SCR_TABLE_SYSTEM,
    SCR_TABLE_BUILTIN,
} scr_table_source;

/** "none", "given", "environment", "user", "system", "built-in". Static storage. */
SCR_API const char *scr_table_source_name(scr_table_source source);

/** The answer of a lookup. */
typedef struct scr_choice {
    scr_config config; /**< complete; fits the device and the problem */
    scr_match_level level;
    scr_table_source source;
    double
        distance; /**< sum over len_q, len_k, heads, window and density of |log2(asked / entry)| */
    bool any_window;   /**< the entry is that for an unknown window */
    bool any_density;  /**< the entry is that for an unknown density */
    int32_t stale;     /**< entries passed over: made from another source of the kernel */
    int32_t unfit;     /**< likewise: they do not fit the device or the problem */
    int32_t far;       /**< likewise: a length, the heads, window or density is over 8 times off */
    const void *entry; /**< the library's own; NULL with SCR_MATCH_DEFAULT */
} scr_choice;

/**
 * Looks up the fastest known configuration. Among the entries for the problem's dtype, dk, dv and
 * causal whose numbers are each within a factor of 8 of those asked for, takes the best match, of
 * those the nearest, of those the first table's. A known density (window) prefers entries of known
 * density (window), and falls back to those for an unknown one; an unknown one takes only the
 * latter. Without an entry the answer is the default of the declaration.
 *
 * Thread-safe; allocates nothing, takes no lock, does no I/O: well under a microsecond.
 *
 * @param dev   an open device
 * @param p     a valid problem
 * @param hint  may be NULL: nothing is known
 * @param want  NULL: the fastest kernel of all. Else kernel and skip are as given there, so are the
 *              variant unless it is "" and every parameter that is set
 * @param out   receives the answer
 * @return SCR_OK; what scr_config_resolve returns where not even a default fits
 */
SCR_API int scr_lookup(const scr_device *dev, const scr_problem *p, const scr_hint *hint,
                       const scr_config *want, scr_choice *out);

/**
 * The same for any description of a device, be it of a device that is not here. Searches the whole
 * table, so it takes longer.
 */
SCR_API int scr_lookup_for(const scr_context *ctx, const scr_device_info *info,
                           const scr_problem *p, const scr_hint *hint, const scr_config *want,
                           scr_choice *out);

/**
 * Says in a few lines what was chosen, from which table and entry, at which level, and why.
 *
 * @param ctx   that of the lookup
 * @param text  receives the text, cut to size, always ended
 * @return the length of the whole text, as snprintf
 */
SCR_API size_t scr_choice_explain(const scr_context *ctx, const scr_choice *c, char *text,
                                  size_t size);

/**
 * A plan with the configuration that scr_lookup finds. Where that does not compile or its workspace
 * does not fit, the next choice is the default; the log says so.
 *
 * @return as scr_plan_create
 */
SCR_API int scr_plan_create_tuned(scr_device *dev, const scr_problem *p, const scr_hint *hint,
                                  unsigned flags, scr_plan **out);

SCR_END_DECLS

#endif
