# SPDX-License-Identifier: Apache-2.0
"""Conditions on the rows of a sweep, for rows that a report leaves out.

A condition is words as a shell has them, all of which must be true of a row:

COLUMN=VALUE    the column is that number, or its text matches the glob; an empty column is '', a truth true or false
COLUMN<=NUMBER  the column is a number, at most that one; a window is where it has one
"""
import fnmatch
import math
import re
import shlex

# In the rows r is what a float of 32 bits has of it.
ALIKE = 1e-6


class BadCondition(ValueError):
    """The text says which word is none, and why."""


def number_of(value):
    """What a column or a text is as a number, or None."""
    if isinstance(value, bool) or value is None or "_" in str(value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def same(value, text):
    known, wanted = number_of(value), number_of(text)
    if known is not None and wanted is not None:
        # Digits that are kept as text, such as a hash's, are all meant.
        return known == wanted if isinstance(value, str) else math.isclose(known, wanted, rel_tol=ALIKE)
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return fnmatch.fnmatchcase(shown, text)


def at_most(value, most):
    number = number_of(value)
    return number is not None and (number <= most or math.isclose(number, most, rel_tol=ALIKE))


def word_of(word, columns):
    found = re.fullmatch(r"(\w+)(<=|=)(.*)", word, re.S)
    if not found:
        raise BadCondition(f"'{word}' is neither COLUMN=VALUE nor COLUMN<=NUMBER")
    column, how, text = found.groups()
    if column not in columns:
        raise BadCondition(f"'{word}': the rows have no column {column}")
    if how == "=":
        return lambda row: same(row.get(column), text)
    most = number_of(text)
    if most is None:
        raise BadCondition(f"'{word}': {text or 'nothing'} is not a number")
    return lambda row: at_most(row.get(column), most)


def matching(rows, condition):
    """The rows that the condition is true of, in their order. BadCondition where it is none, or true of none."""
    columns = {column for row in rows for column in row}
    try:
        words = [word_of(word, columns) for word in shlex.split(condition)]
    except BadCondition:
        raise
    except ValueError as e:  # a quote that does not end
        raise BadCondition(f"'{condition}': {e}") from e
    if not words:
        raise BadCondition("a condition has no word, and would be true of every row")
    found = [row for row in rows if all(word(row) for word in words)]
    if not found:
        raise BadCondition(f"'{condition}': there is no such row")
    return found
