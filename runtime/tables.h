/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that a context holds, read once and never changed after, and what makes looking them
 * up quick: for each device of the context, its entries in one array, sorted.
 */
#ifndef SCR_RUNTIME_TABLES_H
#define SCR_RUNTIME_TABLES_H

#include "decl.h"
#include "table.h"

#include <screening/device.h>

/* What is compared: all as log2. A hint that is not known is not compared. */
enum scr_slot_axis {
    SCR_SLOT_LEN_Q,
    SCR_SLOT_LEN_K,
    SCR_SLOT_HEADS,
    SCR_SLOT_WINDOW,
    SCR_SLOT_DENSITY,
    SCR_SLOT_AXES
};

/* What a lookup reads of an entry before it has chosen. 48 bytes: a thousand fit into a cache. */
struct scr_slot {
    uint32_t key;   /* dtype, dk, dv and causal, scr_slot_key */
    uint32_t order; /* index of the entry: those of the first table come first */
    uint8_t level;  /* scr_match_level for the device of the index */
    uint8_t skip;
    bool best, any_window, any_density;
    bool stale; /* made from another source or space */
    bool sound; /* its parameters are the kernel's, with values that those have */
    float at[SCR_SLOT_AXES];
    const struct scr_kernel_decl *decl; /* NULL: this library lacks the kernel */
};

struct scr_device_index {
    const scr_device_info *info;
    struct scr_slot *slots; /* by key, level, order; none of SCR_MATCH_DEFAULT */
    size_t n;
};

struct scr_tables {
    struct scr_table all;   /* in the order of the tables; of sound entries params are complete */
    struct scr_slot *slots; /* one an entry; level is not set */
    char *paths[SCR_TABLE_BUILTIN + 1];
    struct scr_device_index *devices;
    size_t n_devices;
};

/* Where tables are. A path that is NULL is passed over. */
struct scr_table_places {
    const char *given, *env, *user, *system;
    const char *builtin; /* text */
    size_t builtin_size;
};

/*
 * Reads the tables and makes the index. What cannot be read costs itself and a warning in the log.
 *
 * given  as scr_context_options.table
 * out    receives the tables; NULL on failure
 * SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_tables_load(const scr_context *ctx, const char *given, struct scr_tables **out);

/* The same from other places, and for other devices than the context's. */
int scr_tables_read(const scr_context *ctx, const struct scr_table_places *places,
                    const scr_device_info *const *devices, size_t n_devices,
                    struct scr_tables **out);
void scr_tables_free(struct scr_tables **t);

/* The index of a device that is none of those; out->slots is the caller's to free. */
int scr_device_index_make(const struct scr_tables *t, const scr_device_info *info,
                          struct scr_device_index *out);

/* Those that the context holds (context.c). */
const struct scr_tables *scr_context_tables(const scr_context *ctx);

/* How near an entry's device is. */
scr_match_level scr_entry_level(const struct scr_table_entry *e, const scr_device_info *info);

uint32_t scr_slot_key(scr_dtype dtype, int32_t dk, int32_t dv, bool causal);
/* at[] of a shape; a window or density of 0 is not known, and its place is 0. */
void scr_slot_place(double len_q, double len_k, double heads, double window, double density,
                    float at[SCR_SLOT_AXES]);

/* scr_lookup_for and scr_choice_explain, of tables; quick where info is that of an index. */
int scr_tables_lookup(const struct scr_tables *t, const scr_device_info *info, const scr_problem *p,
                      const scr_hint *hint, const scr_config *want, scr_choice *out);
size_t scr_tables_explain(const struct scr_tables *t, const scr_choice *c, char *text, size_t size);

#endif
