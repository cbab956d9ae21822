/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of --tune share. One process tunes one device. */
#ifndef SCR_TUNER_TUNE_STATE_H
#define SCR_TUNER_TUNE_STATE_H

#include "config.h"
#include "lab.h"
#include "lab_shapes.h"
#include "progress.h"
#include "record.h"
#include "space.h"
#include "strategy.h"
#include "tuner_options.h"

/* What is tuned for a shape: each kernel with each of its skips. */
enum { SCR_N_TUNED_KERNELS = 4 };
struct scr_tuned_kernel {
    const char *kernel;
    scr_skip skip;
    double weight; /* of the time that a shape has */
};
extern const struct scr_tuned_kernel scr_tuned_kernels[SCR_N_TUNED_KERNELS];

/* What came of a shape in this run or those that it goes on with. */
struct scr_tune_settled {
    struct scr_shape_key key;
    bool has[SCR_N_TUNED_KERNELS];
    scr_config winners[SCR_N_TUNED_KERNELS];
};

/* Why tuning goes no further. */
enum scr_tune_end { SCR_TUNE_GOES_ON, SCR_TUNE_STOPPED, SCR_TUNE_LATE, SCR_TUNE_BROKEN };

struct scr_tune {
    const struct scr_tuner_options *o;
    const scr_device_info *info;
    scr_context *tables; /* for lookups; has no driver loaded */
    struct scr_case_list shapes;
    size_t n_tuned;
    struct scr_lab *lab;
    struct scr_records records; /* that were there (--resume), then those of this run */
    struct scr_record_file *file;
    struct scr_progress progress;
    size_t done;
    const volatile sig_atomic_t *stop;
    double limit_s;
    int jobs;     /* compiled at once */
    double end_s; /* by scr_clock_s; 0: no budget */
    double part_end_s;
    double final_s; /* what the longest final of a kernel took */
    enum scr_tune_end end;
    char why[400]; /* of BROKEN */
    char host[64];
    struct scr_shape_key key;         /* of the shape at hand */
    struct scr_tune_settled *settled; /* by shape */
    size_t n_shapes, n_won;           /* of this process: to be tuned; with a winner */
};

/* tune_records.c */

/* A record of the shape at hand; NaN and "" where nothing is known. */
void scr_tune_record(struct scr_tune *t, enum scr_record_kind kind, const scr_config *config,
                     struct scr_record *out);
void scr_tune_record_trial(struct scr_record *r, const struct scr_trial *trial);

/* Appends n to the file, at once, and to t->records; where that fails t->end says so. */
void scr_tune_keep(struct scr_tune *t, const struct scr_record *r, size_t n);

/* The last record of that kind for the shape at hand and a configuration, or NULL. */
const struct scr_record *scr_tune_find(const struct scr_tune *t, enum scr_record_kind kind,
                                       const scr_config *config);

/* Whether the configuration was right, or wrong, on the verifying shapes of these types and dims
 * before, whatever the shape tuned: its record, or NULL. */
const struct scr_record *scr_tune_find_verified(const struct scr_tune *t, const scr_config *config);

/* The winner of a kernel for the shape at hand (kernel NULL: the fastest of all), or NULL. */
const struct scr_record *scr_tune_find_winner(const struct scr_tune *t, const char *kernel,
                                              scr_skip skip);

/* The density of a shape from a record that is there; NaN unknown. */
double scr_tune_known_density(const struct scr_tune *t, const struct scr_case *c);

/* tune_search.c */

enum { SCR_MAX_FINALISTS = 6 };

/* A search of one kernel and skip. */
struct scr_tune_search {
    struct scr_space space;
    struct scr_search_result result;
    enum scr_strategy strategy;
    double *ns; /* by candidate; NaN: not tried */
};

/* How many candidates a search would try at most. */
size_t scr_tune_expected(const struct scr_tune *t, const struct scr_space *space);
enum scr_strategy scr_tune_strategy(const struct scr_tune *t, const struct scr_space *space);

/*
 * Begins at what won for the kernels before it, and for this one on the shape most like this.
 * kernel  of scr_tuned_kernels
 * end_s   when to stop searching; 0: never
 * SCR_OK, or not where t->end says why.
 */
int scr_tune_search_run(struct scr_tune *t, size_t shape, int kernel, double end_s,
                        struct scr_tune_search *out);
void scr_tune_search_clear(struct scr_tune_search *s);

/* When what is being done must be through, for the sake of others in the budget; 0: no end. */
void scr_tune_set_end(struct scr_tune *t, double end_s);

/* Says why the lab did not answer in t->end, unless only scr_tune_set_end's came. Returns
 * SCR_ERR_DEVICE. */
int scr_tune_give_up(struct scr_tune *t);

/* tune_final.c */

/*
 * Verifies the best of a search and races them with the incumbent and the default. winner gets the
 * record, which is kept. SCR_OK; SCR_ERR_NOT_FOUND where none is right; else t->end says why.
 */
int scr_tune_final(struct scr_tune *t, size_t shape, struct scr_tune_search *s, double end_s,
                   struct scr_record *winner);

/*
 * The fastest of the winners of a shape, raced with what the tables give and the default of
 * tile-skip; kept with best set. So that their times can be compared, the others are kept again as
 * they did in this race, all in one write.
 */
int scr_tune_final_of_all(struct scr_tune *t, size_t shape, const struct scr_record *winners,
                          size_t n, double end_s, struct scr_record *best);

/* tune_shape.c */

/*
 * What won for a kernel on the shape most like `shape` of those before it that are compiled alike;
 * NULL. The same however often tuning was interrupted, as it looks at no other process's shapes.
 */
const scr_config *scr_tune_nearby_winner(const struct scr_tune *t, size_t shape, int kernel);

/* Tunes a shape; share_end_s: what of the budget is its, 0: no budget. */
void scr_tune_shape(struct scr_tune *t, size_t shape, double share_end_s);

/* tune_devices.c */

/* Tunes devices by a process each. The exit status. */
int scr_tune_devices(const struct scr_tuner_options *o, const scr_device_info *const *devices,
                     size_t n, int argc, char **argv, const volatile sig_atomic_t *stop);

#endif
