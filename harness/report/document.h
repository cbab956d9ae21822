/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one text as Markdown or as a web page of one file: no script, nothing from elsewhere. Text
 * that is given is shown as it is, except that Markdown does not escape it.
 */
#ifndef SCR_HARNESS_DOCUMENT_H
#define SCR_HARNESS_DOCUMENT_H

#include <stdbool.h>
#include <stdio.h>

struct scr_document {
    FILE *f;   /* the caller opens and closes it */
    bool html; /* else Markdown */
    int n_pictures;
};

void scr_document_begin(struct scr_document *d, const char *title);
void scr_document_end(struct scr_document *d);

void scr_document_heading(struct scr_document *d, const char *text);
void scr_document_paragraph(struct scr_document *d, const char *text);
/* A line to be typed. */
void scr_document_command(struct scr_document *d, const char *text);

/* A name and what it is; several between begin and end make a table. */
void scr_document_facts_begin(struct scr_document *d);
void scr_document_fact(struct scr_document *d, const char *name, const char *value);
void scr_document_facts_end(struct scr_document *d);

/*
 * The picture DIR/plots/NAME.svg: a web page holds it, Markdown names plots/NAME.svg. Nothing where
 * there is no such file.
 */
void scr_document_picture(struct scr_document *d, const char *dir, const char *name,
                          const char *title);

#endif
