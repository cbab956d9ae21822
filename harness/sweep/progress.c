/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "timer.h"

#include <sys/ioctl.h>
#include <unistd.h>

static const double PLAIN_INTERVAL_S = 10;

void scr_progress_start(struct scr_progress *p, FILE *f, size_t done, size_t total)
{
    struct winsize size;

    *p = (struct scr_progress){.f = f, .columns = 80, .begun = done, .first = done, .total = total};
    p->terminal = isatty(fileno(f));
    if (p->terminal && ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        p->columns = size.ws_col;
    p->last_line_s = scr_clock_s();
}

void scr_progress_show(struct scr_progress *p, size_t done, const char *what)
{
    double now = scr_clock_s();
    char left[32] = "";
    char line[512];

    if (p->first == p->begun && done > p->begun) {
        p->first = done;
        p->first_s = now;
    }
    if (!p->terminal && now - p->last_line_s < PLAIN_INTERVAL_S)
        return;
    p->last_line_s = now;
    if (done > p->first + 1 && p->first > p->begun && p->total > done) {
        double s = (now - p->first_s) / (double)(done - p->first) * (double)(p->total - done);

        if (s < 99.5)
            snprintf(left, sizeof left, ", %.0f s left", s);
        else
            snprintf(left, sizeof left, ", %.0f min left", s / 60);
    }
    snprintf(line, sizeof line, "[%zu/%zu%s] %s", done + 1, p->total, left, what);
    if (p->terminal)
        fprintf(p->f, "\r%.*s\033[K", p->columns - 1, line);
    else
        fprintf(p->f, "%s\n", line);
    fflush(p->f);
}

void scr_progress_hide(struct scr_progress *p)
{
    if (p->terminal) {
        fputs("\r\033[K", p->f);
        fflush(p->f);
    }
}
