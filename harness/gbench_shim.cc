/* SPDX-License-Identifier: Apache-2.0 */
#include "gbench_shim.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <string>
#include <vector>

#include <regex.h>

struct scr_gbench_case {
    benchmark::State &state;
    double seconds; /* 0: not reported */
    bool decided;   /* by skip or fail */
    bool no_memory; /* for something that was reported */
};

namespace
{

struct {
    bool has_run;               /* the library cannot run twice: see the header */
    bool csv_shown, csv_in_out; /* what --benchmark_format and --benchmark_out ask for */
} library;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* in favour of no CSV at all */
/*
 * The library takes the columns of CSV from the first case, which may have been skipped, and aborts
 * at a counter that is new; so it is told of all cases at once.
 */
class CsvAtEnd : public benchmark::CSVReporter
{
  public:
    void ReportRuns(const std::vector<Run> &some) override
    {
        runs.insert(runs.end(), some.begin(), some.end());
    }
    void Finalize() override
    {
        CSVReporter::ReportRuns(runs);
    }

  private:
    std::vector<Run> runs;
};
#pragma GCC diagnostic pop

/* The second of these is the one that fits where the library has no SkipWithMessage. */
template <class State>
auto skip(State &state, const std::string &message, int) -> decltype(state.SkipWithMessage(message))
{
    state.SkipWithMessage(message);
}

template <class State> void skip(State &state, const std::string &message, long)
{
    state.SkipWithError(("skipped: " + message).c_str());
}

/* Runs a report of a case; an exception ends here and becomes the case's failure. */
template <class Report> void guard(struct scr_gbench_case *c, Report report) noexcept
{
    try {
        report();
    } catch (...) {
        c->no_memory = true;
    }
}

/* Turns the exception that is being handled into a status and a line. */
int status_of_exception(char *why, size_t why_size) noexcept
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        snprintf(why, why_size, "%s", scr_status_text(SCR_ERR_NO_MEMORY));
        return SCR_ERR_NO_MEMORY;
    } catch (const std::exception &e) {
        snprintf(why, why_size, "Google Benchmark: %s", e.what());
    } catch (...) {
        snprintf(why, why_size, "Google Benchmark: unknown exception");
    }
    return SCR_ERR_INVALID;
}

/*
 * The case runs ahead of the library's loop, so that cpu_time is next to nothing instead of all
 * that preparing, checking and sampling cost the host.
 */
void run_case(benchmark::State &state, scr_gbench_fn fn, void *user)
{
    struct scr_gbench_case c = {state, 0, false, false};

    fn(&c, user);
    if (c.no_memory)
        state.SkipWithError(scr_status_text(SCR_ERR_NO_MEMORY));
    else if (!c.decided && c.seconds == 0)
        state.SkipWithError("no time was reported");
    for (auto _ : state)
        state.SetIterationTime(c.seconds);
}

/* What follows "NAME=" in a word, or NULL. */
const char *value_of(const char *word, const char *name)
{
    size_t len = strlen(name);

    return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : nullptr;
}

bool is_count(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    return *text >= '0' && *text <= '9' && *end == '\0' && n >= 1 && n <= 1000000;
}

/* What the library would exit for, take for something else, or do against the contract. */
int check_word(const char *word, char *why, size_t why_size)
{
    static const struct {
        const char *name, *values[4];
    } choices[] = {{"--benchmark_format", {"console", "json", "csv"}},
                   {"--benchmark_out_format", {"console", "json", "csv"}},
                   {"--benchmark_time_unit", {"ns", "us", "ms", "s"}}};
    static const char *const refused[] = {"--benchmark_min_time", "--benchmark_min_warmup_time",
                                          "--benchmark_perf_counters"};
    const char *value;

    for (const auto &choice : choices) {
        std::string expected;

        value = value_of(word, choice.name);
        for (const char *allowed : choice.values) {
            if (value == nullptr || allowed == nullptr)
                continue;
            if (strcmp(value, allowed) == 0)
                return SCR_OK;
            expected += (expected.empty() ? "" : ", ") + std::string(allowed);
        }
        if (value != nullptr) {
            snprintf(why, why_size, "%s: '%s' is not one of %s", choice.name, value,
                     expected.c_str());
            return SCR_ERR_INVALID;
        }
    }
    for (const char *name : refused) {
        if (value_of(word, name) != nullptr) {
            snprintf(why, why_size, "%s has no meaning here: a case times itself", name);
            return SCR_ERR_INVALID;
        }
    }
    value = value_of(word, "--benchmark_repetitions");
    if (value != nullptr && !is_count(value)) {
        snprintf(why, why_size, "--benchmark_repetitions: '%s' is not a number from 1 to 1000000",
                 value);
        return SCR_ERR_INVALID;
    }
    return SCR_OK;
}

/* The last value of an option, the environment's where no word has it, or "". */
std::string option(int n, const char *const *words, const char *name, const char *variable)
{
    const char *value = getenv(variable);

    for (int i = 0; i < n; i++) {
        const char *given = value_of(words[i], name);

        value = given != nullptr ? given : value;
    }
    return value != nullptr ? value : "";
}

/*
 * Called by the library where it would print its usage and exit(0). check_word saw such words, so
 * it is a value of the environment, or an empty --benchmark_color.
 */
struct usage {
};

void throw_usage()
{
    throw usage();
}

int init(const char *program, int n, const char *const *words, char *why, size_t why_size)
{
    /* Not from the environment either: a warm-up calls the function more often. */
    static char no_warmup[] = "--benchmark_min_warmup_time=0";
    static char no_counters[] = "--benchmark_perf_counters=";
    std::vector<char *> argv = {const_cast<char *>(program), no_warmup, no_counters};
    std::string out = option(n, words, "--benchmark_out", "BENCHMARK_OUT");
    int argc, status;

    for (int i = 0; i < n; i++) {
        status = check_word(words[i], why, why_size);
        if (status != SCR_OK)
            return status;
        argv.push_back(const_cast<char *>(words[i])); /* the library only reads it */
    }
    argc = static_cast<int>(argv.size());
    argv.push_back(nullptr);
    try {
        benchmark::Initialize(&argc, argv.data(), throw_usage);
    } catch (const usage &) {
        snprintf(why, why_size,
                 "Google Benchmark does not know what a BENCHMARK_* environment variable or "
                 "--benchmark_color asks for");
        return SCR_ERR_INVALID;
    }
    if (argc > 1) {
        snprintf(why, why_size, "%s: Google Benchmark does not know it, or not this value",
                 argv[1]);
        return SCR_ERR_INVALID;
    }
    /* The library exits with 1 where it cannot open the file. */
    if (!out.empty() && !std::ofstream(out, std::ios::app).is_open()) {
        snprintf(why, why_size, "--benchmark_out: '%s' cannot be written", out.c_str());
        return SCR_ERR_INVALID;
    }
    library.csv_shown = option(n, words, "--benchmark_format", "BENCHMARK_FORMAT") == "csv";
    library.csv_in_out =
        !out.empty() && option(n, words, "--benchmark_out_format", "BENCHMARK_OUT_FORMAT") == "csv";
    return SCR_OK;
}

/*
 * The library only says on stderr that a filter is malformed. It has a minus sign for "all but",
 * and extended expressions in std::regex or the C library's; the latter says what is wrong better.
 */
bool is_regex(const char *filter, char *why, size_t why_size)
{
    regex_t compiled;
    char reason[100];
    int error = regcomp(&compiled, filter + (*filter == '-'), REG_EXTENDED | REG_NOSUB);

    if (error == 0) {
        regfree(&compiled);
        return true;
    }
    regerror(error, &compiled, reason, sizeof reason);
    snprintf(why, why_size, "--benchmark_filter: '%s' is no regular expression: %s", filter,
             reason);
    return false;
}

int run(size_t *matched, char *why, size_t why_size)
{
    std::string filter = benchmark::GetBenchmarkFilter();
    CsvAtEnd shown, in_out;

    if (library.has_run) {
        snprintf(why, why_size, "Google Benchmark runs once a process");
        return SCR_ERR_INVALID;
    }
    if (!is_regex(filter.c_str(), why, why_size))
        return SCR_ERR_INVALID;
    library.has_run = true;
    *matched = benchmark::RunSpecifiedBenchmarks(library.csv_shown ? &shown : nullptr,
                                                 library.csv_in_out ? &in_out : nullptr);
    if (*matched != 0)
        return SCR_OK;
    snprintf(why, why_size, "--benchmark_filter: '%s' matches no case", filter.c_str());
    return SCR_ERR_NOT_FOUND;
}

} // namespace

void scr_gbench_time(struct scr_gbench_case *c, double seconds)
{
    c->seconds = std::isfinite(seconds) && seconds > 0 ? seconds : 0;
}

void scr_gbench_counter(struct scr_gbench_case *c, const char *name, double value)
{
    if (std::isfinite(value))
        guard(c, [=] { c->state.counters[name] = value; });
}

void scr_gbench_label(struct scr_gbench_case *c, const char *text)
{
    guard(c, [=] { c->state.SetLabel(text); });
}

void scr_gbench_skip(struct scr_gbench_case *c, const char *message)
{
    if (!c->decided)
        guard(c, [=] { skip(c->state, message, 0); });
    c->decided = true;
}

void scr_gbench_fail(struct scr_gbench_case *c, const char *message)
{
    if (!c->decided)
        guard(c, [=] { c->state.SkipWithError(message); });
    c->decided = true;
}

int scr_gbench_init(const char *program, int n, const char *const *words, char *why,
                    size_t why_size)
{
    try {
        return init(program, n, words, why, why_size);
    } catch (...) {
        return status_of_exception(why, why_size);
    }
}

int scr_gbench_context(const char *key, const char *value)
{
    if (*key == '\0')
        return SCR_ERR_INVALID;
    try {
        benchmark::AddCustomContext(key, value);
    } catch (...) {
        return SCR_ERR_NO_MEMORY;
    }
    return SCR_OK;
}

int scr_gbench_register(const char *name, scr_gbench_fn fn, void *user)
{
    if (*name == '\0' || fn == nullptr)
        return SCR_ERR_INVALID;
    try {
        benchmark::RegisterBenchmark(name,
                                     [=](benchmark::State &state) { run_case(state, fn, user); })
            ->Iterations(1)
            ->UseManualTime();
    } catch (...) {
        return SCR_ERR_NO_MEMORY;
    }
    return SCR_OK;
}

int scr_gbench_run(size_t *matched, char *why, size_t why_size)
{
    int status;

    *matched = 0;
    try {
        status = run(matched, why, why_size);
    } catch (...) {
        status = status_of_exception(why, why_size);
    }
    benchmark::ClearRegisteredBenchmarks();
    return status;
}
