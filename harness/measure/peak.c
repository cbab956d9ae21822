/* SPDX-License-Identifier: Apache-2.0 */
#include "peak.h"

#include "timer.h"

#include <math.h>

enum {
    SERIES = 3,
    EMPTY_BATCH = 64, /* launches of the empty kernel in one sample by the host's clock */
    BATCH = 4,        /* the same of other probes, which are longer */
    MAX_SUBJECTS = 5, /* floor, bandwidth, three types */
};

/* One probe under measurement. */
struct subject {
    scr_device *dev;
    scr_probe *probe;
    const char *name;
    bool is_floor;
    int status;
    bool no_events;
    double event_ns, host_ns;     /* sums over the samples of a series */
    double best_event, best_host; /* lowest median so far; NaN: none */
};

static int sample_event(void *user, double *ns)
{
    struct subject *s = user;
    double start = scr_clock_s();
    int status = scr_probe_run(s->probe, ns);

    s->host_ns += 1e9 * (scr_clock_s() - start);
    s->event_ns += *ns;
    s->no_events |= !(*ns > 0.0);
    return status;
}

static int sample_host(void *user, double *ns)
{
    struct subject *s = user;
    int batch = s->is_floor ? EMPTY_BATCH : BATCH;
    double start = scr_clock_s();
    int status = SCR_OK;

    for (int i = 0; i < batch && status == SCR_OK; i++)
        status = scr_probe_run(s->probe, NULL);
    if (status == SCR_OK)
        status = scr_device_synchronize(s->dev);
    *ns = 1e9 * (scr_clock_s() - start) / batch;
    return status;
}

static int sample_series(struct subject *s, scr_sample_fn sample, double limit_s, double *best)
{
    struct scr_time_result result;
    int status = scr_time_sample(sample, s, limit_s, &result);

    if (status == SCR_OK)
        *best = fmin(*best, result.stats.median);
    return status;
}

static int measure_once(struct subject *s, double limit_s)
{
    int status = SCR_OK;

    if (!s->no_events) {
        s->event_ns = s->host_ns = 0.0;
        status = sample_series(s, sample_event, limit_s, &s->best_event);
        /* Of a long kernel, events that say far less than the host's clock are wrong as well. */
        s->no_events |= s->event_ns > s->host_ns;
        s->no_events |= !s->is_floor && s->event_ns < 0.5 * s->host_ns;
    }
    if (status == SCR_OK && (s->no_events || s->is_floor))
        status = sample_series(s, sample_host, limit_s, &s->best_host);
    return status == SCR_OK ? scr_probe_check(s->probe) : status;
}

static void add(struct subject *subjects, int *n, scr_device *dev, const char *name,
                scr_probe_kind kind, scr_dtype dtype)
{
    struct subject *s = &subjects[(*n)++];

    *s = (struct subject){
        .dev = dev,
        .name = name,
        .is_floor = kind == SCR_PROBE_EMPTY,
        .best_event = NAN,
        .best_host = NAN,
    };
    s->status = scr_probe_create(dev, kind, dtype, &s->probe);
}

/* Nanoseconds of one run. */
static double time_of(const struct subject *s)
{
    return s->no_events ? s->best_host : s->best_event;
}

static double rate_of(const struct subject *s)
{
    return s->status == SCR_OK ? scr_probe_work(s->probe) / time_of(s) * 1e9 : NAN;
}

int scr_peak_measure(scr_device *dev, double time_limit_s, struct scr_peak *out, char *why,
                     size_t why_size)
{
    double *const rates[] = {&out->f32, &out->f16, &out->bf16};
    struct subject subjects[MAX_SUBJECTS];
    struct subject *floor_s, *bandwidth, *matrix[3];
    int n = 0;
    int status = SCR_OK;

    add(subjects, &n, dev, "empty kernel", SCR_PROBE_EMPTY, SCR_F32);
    add(subjects, &n, dev, "bandwidth", SCR_PROBE_BANDWIDTH, SCR_F32);
    floor_s = &subjects[0];
    bandwidth = &subjects[1];
    for (int t = SCR_F32; t <= SCR_BF16; t++) {
        /* Types that are multiplied as f32 share its probe, which comes first. */
        matrix[t] =
            &subjects[t == SCR_F32 || scr_probe_dtype(dev, (scr_dtype)t) != SCR_F32 ? n : 2];
        if (matrix[t] == &subjects[n])
            add(subjects, &n, dev, scr_dtype_name((scr_dtype)t), SCR_PROBE_MATRIX, (scr_dtype)t);
    }
    /* In turn, so that one disturbance does not spoil all series of a probe. */
    for (int i = 0; i < SERIES * n; i++) {
        struct subject *s = &subjects[i % n];

        if (s->status == SCR_OK)
            s->status = measure_once(s, time_limit_s / (SERIES * n));
    }
    out->floor_ns = floor_s->status == SCR_OK && !floor_s->no_events ? floor_s->best_event : NAN;
    out->floor_wall_ns = floor_s->status == SCR_OK ? floor_s->best_host : NAN;
    out->bandwidth = rate_of(bandwidth);
    for (int t = SCR_F32; t <= SCR_BF16; t++)
        *rates[t] = rate_of(matrix[t]);
    for (int i = n - 1; i >= 0; i--) {
        if (subjects[i].status != SCR_OK) {
            status = subjects[i].status;
            snprintf(why, why_size, "probe of %s: %s", subjects[i].name, scr_status_text(status));
        }
        scr_probe_destroy(&subjects[i].probe);
    }
    return status;
}

double scr_peak_flop_per_s(const struct scr_peak *peak, scr_dtype dtype)
{
    return dtype == SCR_F32 ? peak->f32 : dtype == SCR_F16 ? peak->f16 : peak->bf16;
}

static const struct {
    const char *key;
    size_t offset;
} fields[] = {
    {"f32_flop_per_s", offsetof(struct scr_peak, f32)},
    {"f16_flop_per_s", offsetof(struct scr_peak, f16)},
    {"bf16_flop_per_s", offsetof(struct scr_peak, bf16)},
    {"bandwidth_bytes_per_s", offsetof(struct scr_peak, bandwidth)},
    {"floor_ns", offsetof(struct scr_peak, floor_ns)},
    {"floor_wall_ns", offsetof(struct scr_peak, floor_wall_ns)},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

json_t *scr_peak_json(const struct scr_peak *peak)
{
    json_t *object = json_object();

    for (int i = 0; object != NULL && i < N_FIELDS; i++) {
        double value = *(const double *)(const void *)((const char *)peak + fields[i].offset);

        if (json_object_set_new(object, fields[i].key,
                                isfinite(value) ? json_real(value) : json_null()) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

bool scr_peak_from_json(const json_t *object, struct scr_peak *peak)
{
    bool good = json_is_object(object);

    for (int i = 0; i < N_FIELDS; i++) {
        const json_t *value = json_object_get(object, fields[i].key);

        good &= value == NULL || json_is_null(value) || json_is_number(value);
        *(double *)(void *)((char *)peak + fields[i].offset) =
            json_is_number(value) ? json_number_value(value) : NAN;
    }
    return good;
}

static void print_value(FILE *f, const char *name, double value, double unit, const char *unit_name)
{
    if (isnan(value))
        fprintf(f, "  %-30s %10s\n", name, "unknown");
    else
        fprintf(f, "  %-30s %10.4g %s\n", name, value / unit, unit_name);
}

void scr_peak_print(const scr_device_info *info, const struct scr_peak *peak, FILE *f)
{
    fprintf(f, "%s  %s\n", info->id, info->name);
    print_value(f, "multiply-adds, f32", peak->f32, 1e12, "TFLOP/s");
    print_value(f, "multiply-adds, f16", peak->f16, 1e12, "TFLOP/s");
    print_value(f, "multiply-adds, bf16", peak->bf16, 1e12, "TFLOP/s");
    print_value(f, "bandwidth, reading", peak->bandwidth, 1e9, "GB/s");
    print_value(f, "empty kernel, device's time", peak->floor_ns, 1e3, "us");
    print_value(f, "empty kernel, back to back", peak->floor_wall_ns, 1e3, "us");
}
