/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "html.h"

#include <stdlib.h>
#include <string.h>

static const char style[] =
    "body{font:15px/1.5 system-ui,'DejaVu Sans',Helvetica,sans-serif;color:#222;background:#fff;"
    "max-width:66rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.7rem}h2{font-size:1.25rem;margin-top:2.2rem;border-bottom:1px solid #ddd}\n"
    "table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.15rem .6rem;border-bottom:1px solid #e4e4e4;text-align:left;"
    "vertical-align:top;white-space:nowrap}\n"
    "thead th{background:#f4f4f4}tbody tr:nth-child(even){background:#fafafa}\n"
    ".n{text-align:right}.wide{overflow-x:auto}\n"
    ".facts td{white-space:normal;overflow-wrap:anywhere}.facts th{font-weight:600}\n"
    ".verdict{border-left:4px solid #0072b2;padding:.2rem 0 .2rem 1rem}\n"
    "figure{margin:1.2rem 0}figure svg{max-width:100%;height:auto;border:1px solid #e4e4e4}\n"
    "code,pre{font-family:'DejaVu Sans Mono',monospace;font-size:.85rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "pre{background:#f4f4f4;padding:.5rem .8rem}\n"
    "@media screen and (prefers-color-scheme:dark){body{color:#ddd;background:#14171a}"
    "h2,th,td{border-color:#3a3f45}thead th,pre{background:#22272c}"
    "tbody tr:nth-child(even){background:#1b1f23}figure svg{border-color:#3a3f45}"
    ".verdict{border-color:#56b4e9}}\n"
    "@media print{body{max-width:none}figure{break-inside:avoid}table{font-size:.6rem}}\n";

void scr_document_begin(struct scr_document *d, const char *title)
{
    if (!d->html) {
        fprintf(d->f, "# %s\n\n", title);
        return;
    }
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          d->f);
    scr_html_text(title, d->f);
    fprintf(d->f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
    scr_html_text(title, d->f);
    fputs("</h1>\n", d->f);
}

void scr_document_end(struct scr_document *d)
{
    if (d->html)
        fputs("</body>\n</html>\n", d->f);
}

/* <TAG>text</TAG>, or before, text and after in Markdown. */
static void element(struct scr_document *d, const char *tag, const char *before, const char *text,
                    const char *after)
{
    if (!d->html) {
        fprintf(d->f, "%s%s%s", before, text, after);
        return;
    }
    fprintf(d->f, "<%s>", tag);
    scr_html_text(text, d->f);
    fprintf(d->f, "</%s>\n", tag);
}

void scr_document_heading(struct scr_document *d, const char *text)
{
    element(d, "h2", "\n## ", text, "\n\n");
}

void scr_document_paragraph(struct scr_document *d, const char *text)
{
    element(d, "p", "", text, "\n\n");
}

void scr_document_command(struct scr_document *d, const char *text)
{
    element(d, "pre", "    ", text, "\n\n");
}

void scr_document_facts_begin(struct scr_document *d)
{
    fputs(d->html ? "<table class=\"facts\">\n" : "| | |\n|---|---|\n", d->f);
}

void scr_document_fact(struct scr_document *d, const char *name, const char *value)
{
    if (!d->html) {
        fprintf(d->f, "| %s | %s |\n", name, value);
        return;
    }
    fputs("<tr><th>", d->f);
    scr_html_text(name, d->f);
    fputs("</th><td>", d->f);
    scr_html_text(value, d->f);
    fputs("</td></tr>\n", d->f);
}

void scr_document_facts_end(struct scr_document *d)
{
    fputs(d->html ? "</table>\n" : "\n", d->f);
}

/* The length of what comes before an id at s, or 0. */
static size_t reference(const char *s)
{
    static const char *const before[] = {"id=\"", "id='", "href=\"#", "href='#", "url(#"};

    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        if (strncmp(s, before[i], strlen(before[i])) == 0)
            return strlen(before[i]);
    }
    return 0;
}

/* Copies the svg element; ids get a number, for several pictures on a page use the same ones. */
static void copy_svg(const char *svg, int number, FILE *f)
{
    while (*svg != '\0') {
        size_t n = reference(svg);

        if (n > 0) {
            fprintf(f, "%.*sp%d-", (int)n, svg, number);
            svg += n;
        } else {
            fputc(*svg++, f);
        }
    }
}

void scr_document_picture(struct scr_document *d, const char *dir, const char *name,
                          const char *title)
{
    char path[4096];
    char *text = NULL, *svg = NULL;
    size_t size = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/plots/%s.svg", dir, name);
    f = fopen(path, "re");
    if (f == NULL)
        return;
    if (!d->html) {
        fprintf(d->f, "![%s](plots/%s.svg)\n\n", title, name);
    } else if (getdelim(&text, &size, '\0', f) > 0 && (svg = strstr(text, "<svg")) != NULL) {
        fputs("<figure role=\"img\" aria-label=\"", d->f);
        scr_html_text(title, d->f);
        fputs("\">\n", d->f);
        copy_svg(svg, ++d->n_pictures, d->f);
        fputs("</figure>\n", d->f);
    }
    free(text);
    fclose(f);
}
