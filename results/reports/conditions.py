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

ALIKE = 1e-6  # in the rows r is what a float of 32 bits has of it
NUMBERS_AS_TEXT = {"window"}  # these columns; in others digits are a name, as a hash is


class BadCondition(ValueError):
    """The text says which word is none, and why."""


def number_of(text):
    """The number that a text is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) or "_" in text else number


def number_in(row, column):
    """The number that a column has, or None."""
    value = row.get(column)
    if column in NUMBERS_AS_TEXT and isinstance(value, str):
        return number_of(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def alike(number, wanted):
    """Counts are all their digits."""
    return number == wanted or isinstance(number, float) and math.isclose(number, wanted, rel_tol=ALIKE)


def same(row, column, text):
    value, number, wanted = row.get(column), number_in(row, column), number_of(text)
    if number is not None and wanted is not None:
        return alike(number, wanted)
    shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return fnmatch.fnmatchcase(shown, text)


def at_most(row, column, most):
    number = number_in(row, column)
    return number is not None and (number <= most or alike(number, most))


def test_of(word, columns):
    """A word as a function of a row."""
    found = re.fullmatch(r"(\w+)(<=|=)(.*)", word, re.S)
    if not found:
        raise BadCondition(f"'{word}' is neither COLUMN=VALUE nor COLUMN<=NUMBER")
    column, how, text = found.groups()
    if column not in columns:
        raise BadCondition(f"'{word}': the rows have no column {column}")
    if how == "=":
        return lambda row: same(row, column, text)
    most = number_of(text)
    if most is None:
        raise BadCondition(f"'{word}': {text or 'nothing'} is not a number")
    return lambda row: at_most(row, column, most)


def matching(rows, condition):
    """The rows that the condition is true of, in their order. BadCondition where it is none, or true of none."""
    columns = {column for row in rows for column in row}
    try:
        words = shlex.split(condition)
    except ValueError as e:  # a quote that does not end
        raise BadCondition(f"'{condition}': {e}") from e
    if not words:
        raise BadCondition("a condition has no word, and would be true of every row")
    tests = [test_of(word, columns) for word in words]
    found = [row for row in rows if all(test(row) for test in tests)]
    if not found:
        raise BadCondition(f"'{condition}': there is no such row")
    return found
