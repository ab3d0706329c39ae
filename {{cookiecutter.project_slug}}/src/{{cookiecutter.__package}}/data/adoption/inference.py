"""From the facts about each column to what the schema says of it, with the reason."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import polars as pl

from ...errors import ProjectError
from ...schema import FALSE_WORDS, TRUE_WORDS, Column, Schema, Task
from .survey import TIME_FORMATS, ColumnFacts, Survey, find_time_formats, read_times

Use = Literal["target", "feature", "identifier", "time", "ignored", "dropped"]

_FEWEST_ROWS = 50
_MOST_CLASSES = 50
_ROWS_A_CATEGORY = 10
_FEWEST_AMOUNTS = 20

_IDENTIFIER_NAME = re.compile(r"(?i)(^|[\s_.-])(id|uuid|guid|key|index|rowid)($|[\s_.-])|[a-z](Id|ID)$|^unnamed")
_NUMBER = re.compile(r"[-+]?\d*[.,]?\d+([eE][-+]?\d+)?(_duplicated_\d+)?")
_NUMBER_WITH_SIGN = re.compile(r"[-+]?[$€£¥] ?[-+]?\d[\d.,]*|[-+]?\d[\d.,]* ?[$€£¥%]")
_MARKED_NUMBER = re.compile(r"[-+]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d+)?|[-+]?\d+,\d+")


@dataclass(frozen=True)
class Wishes:
    """What the user says of the columns."""

    target: str
    task: Task | None = None
    identifiers: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    time: str | None = None
    date_format: str | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of a column and why; `column` is None where the schema leaves it out."""

    name: str
    use: Use
    column: Column | None
    why: str = ""


def check_wishes(wishes: Wishes, names: Sequence[str], header: Sequence[str]) -> None:
    """Raise ProjectError where a column that the user named does not exist, occurs twice, or is given two parts."""
    said = [("--target", wishes.target), *(("--id", name) for name in wishes.identifiers)]
    said += [("--drop", name) for name in wishes.dropped] + [("--time-split", wishes.time or "")] * bool(wishes.time)
    seen: dict[str, str] = {}
    for option, name in said:
        if name not in names:
            raise ProjectError(f"{option} {name}: the table has no such column. {_describe_near(name, names)}")
        if (count := header.count(name)) > 1:
            raise ProjectError(f"{option} {name}: the table has {count} columns of that name; rename them.")
        if name in seen:
            raise ProjectError(f"{name!r} cannot be {seen[name]} and {option}; leave one of them out.")
        seen[name] = option


def decide_columns(survey: Survey, wishes: Wishes, names: Sequence[str]) -> tuple[Schema, list[Decision]]:
    """The schema, and what becomes of each of the table's columns.

    Raises ProjectError where the target does not fit the task, the task cannot be told, or no feature is left.
    """
    task, target = _decide_target(wishes, survey.columns[wishes.target])
    decided = {wishes.target: target}
    for name, facts in survey.columns.items():
        if name in wishes.identifiers:
            why = "--id: rows with the same value share a split"
            decided[name] = Decision(name, "identifier", Column(type="text", role="identifier"), why)
        elif name == wishes.time:
            decided[name] = _decide_time(name, facts, survey.sample[name], wishes.date_format)
        elif name != wishes.target:
            decided[name] = _decide_column(name, facts, survey.sample[name])
    if not any(decision.use == "feature" for decision in decided.values()):
        reasons = "\n".join(f"  {decision.name}: {decision.why}" for decision in decided.values() if decision != target)
        raise ProjectError(f"No column is left to predict from:\n{reasons}")
    decisions = [decided.get(name) or Decision(name, "dropped", None, "--drop") for name in names]
    columns = {decision.name: decision.column for decision in decisions if decision.column is not None}
    return Schema(task=task, target=wishes.target, columns=columns), decisions


def _decide_target(wishes: Wishes, facts: ColumnFacts) -> tuple[Task, Decision]:
    name = wishes.target
    if facts.present < _FEWEST_ROWS:
        raise ProjectError(
            f"Only {facts.present} of {facts.rows} rows have a {name}; "
            f"at least {_FEWEST_ROWS} are needed to train and test."
        )
    if facts.different == 1:
        raise ProjectError(f"Every row has the same {name}, {_first(facts.values)!r}; there is nothing to predict.")
    task = wishes.task or _tell_task(name, facts)
    missing = f"; {facts.missing} rows have none and will be rejected" if facts.missing else ""
    if task == "regression":
        if not facts.is_numeric:
            raise ProjectError(
                f"A regression needs numbers, but {facts.present - facts.numbers} of {facts.present} values of {name} "
                f"are none, such as {_first(facts.words)!r}; use --task classification, or "
                + ("say --decimal-comma or --thousands." if _mostly(_MARKED_NUMBER, facts.words) else "mend them.")
            )
        return task, Decision(name, "target", _number_column(facts), f"numbers{missing}")
    if facts.different > _MOST_CLASSES:
        instead = "use --task regression" if facts.is_numeric else "group them into fewer"
        raise ProjectError(
            f"{name} has {facts.different} different values, more than {_MOST_CLASSES} classes; {instead}."
        )
    rare = [f"{label} ({count})" for label, count in sorted(facts.values.items()) if count < _ROWS_A_CATEGORY]
    why = f"{facts.different} classes" + (f"; rare: {', '.join(rare)[:60]}" if rare else "") + missing
    if wishes.task is None and facts.is_numeric:
        why += "; for amounts say --task regression"
    return task, Decision(name, "target", Column(type="category", categories=_sort(facts.values)), why)


def _tell_task(name: str, facts: ColumnFacts) -> Task:
    if not facts.is_numeric:
        if _mostly(_NUMBER_WITH_SIGN, facts.words):
            raise ProjectError(
                f"{name} has numbers with a sign, such as {_first(facts.words)!r}: remove the sign to predict them, "
                "or say --task classification if they are names of classes."
            )
        return "classification"
    distinct = facts.different
    if not facts.is_whole or distinct > _FEWEST_AMOUNTS:
        return "regression"
    is_row = facts.minimum in (0, 1) and facts.maximum - facts.minimum + 1 == distinct
    if distinct == 2 or (is_row and distinct <= 10):
        return "classification"
    raise ProjectError(
        f"{name} has {distinct} different whole numbers, from {facts.minimum:g} to {facts.maximum:g}: "
        "say --task classification if they are names of classes, --task regression if they are amounts."
    )


def _decide_time(name: str, facts: ColumnFacts, sample: pl.Series, date_format: str | None) -> Decision:
    why = "--time-split: the latest rows are held out"
    if date_format is None and facts.has_numbers and "%Y%m%d" not in find_time_formats(sample):
        column = Column(type="integer" if facts.is_whole else "number", role="ignored", description=why)
    else:
        form = _choose_format(name, sample.drop_nulls(), date_format)
        column = Column(type="timestamp", format=form, role="ignored", description=why)
        why += f"; written {form}"
    if facts.different < 3:
        raise ProjectError(
            f"--time-split {name}: {facts.different} different times cannot be cut into three splits; leave it out."
        )
    return Decision(name, "time", column, why)


def _choose_format(name: str, values: pl.Series, given: str | None) -> str:
    found = find_time_formats(values, [given] if given else TIME_FORMATS)
    example = _first(values)
    if not found:
        raise ProjectError(
            f"--time-split {name}: values such as {example!r} are neither numbers nor "
            f"{'written as ' + given if given else 'times of a known format'}; "
            "give the format with --date-format, as in '%d.%m.%Y'."
        )
    if len({tuple(read_times(values, form).head(1_000)) for form in found}) > 1:
        raise ProjectError(
            f"--time-split {name}: {example!r} can be read as {' or '.join(found)}; say which with --date-format."
        )
    return found[0]


def _decide_column(name: str, facts: ColumnFacts, sample: pl.Series) -> Decision:
    if not facts.present:
        return Decision(name, "dropped", None, "empty: no row has a value")
    if facts.different == 1 and not facts.missing:
        return Decision(name, "dropped", None, f"constant: every row has {_first(facts.values)!r:.40}")
    nullable = facts.missing > 0
    missing = f"{facts.missing / facts.rows:.1%} missing" if nullable else ""
    words = {word.lower() for word in facts.values} if not facts.numbers else set()
    if words & set(TRUE_WORDS) and words & set(FALSE_WORDS) and words <= {*TRUE_WORDS, *FALSE_WORDS}:
        return Decision(name, "feature", Column(type="boolean", nullable=nullable), missing)
    reason = _find_reason_to_ignore(name, facts, sample)
    if reason:
        return Decision(name, "ignored", Column(type="text", role="ignored", description=reason), reason)
    if not facts.is_numeric:
        column = Column(type="category", nullable=nullable, categories=_sort(facts.values))
        return Decision(name, "feature", column, missing)
    unreadable = facts.present - facts.numbers
    odd = f"{unreadable} rows are no number, such as {_first(facts.words)!r:.40}: rejected" if unreadable else ""
    return Decision(name, "feature", _number_column(facts, nullable), "; ".join(filter(None, [missing, odd])))


def _find_reason_to_ignore(name: str, facts: ColumnFacts, sample: pl.Series) -> str:
    is_unique = facts.different >= 0.98 * facts.present and not facts.missing
    is_named = _IDENTIFIER_NAME.search(name) is not None
    if facts.is_numeric:
        is_dense = is_unique and facts.maximum - facts.minimum < facts.rows * 1.02
        if facts.is_whole and (is_dense or (is_named and facts.different > _FEWEST_AMOUNTS)):
            return "an identifier: " + ("each row has its own" if is_unique else "by its name")
        return ""
    if find_time_formats(sample):
        return "a date or time; no feature is made of it"
    if _mostly(_NUMBER_WITH_SIGN, facts.words):
        return f"numbers with a sign, such as {_first(facts.words)!r:.40}: remove the sign to use them"
    if _mostly(_MARKED_NUMBER, facts.words):
        return "numbers with marks in them: say --thousands or --decimal-comma"
    limit = max(5, min(60, facts.rows // _ROWS_A_CATEGORY))
    if facts.different <= limit:
        return ""
    if is_unique and (is_named or facts.has_numbers):
        return "an identifier: each row has its own"
    return f"text: {facts.different} different values, more than {limit} categories"


def _describe_near(name: str, names: Sequence[str]) -> str:
    same = [other for other in names if other.strip().casefold() == name.strip().casefold()]
    near = get_close_matches(name, names, n=3, cutoff=0.5) or same
    shown = ", ".join(map(repr, near or names[:20])) + ("" if near or len(names) <= 20 else ", …")
    hint = f"Did you mean {shown}?" if near else f"It has {shown}."
    is_row = _mostly(_NUMBER, names)
    return hint + " These look like values: the file needs a first line with the columns' names." * is_row


def _number_column(facts: ColumnFacts, nullable: bool = False) -> Column:
    low, high = _widen(facts.minimum, facts.maximum, facts.is_whole)
    return Column(type="integer" if facts.is_whole else "number", nullable=nullable, minimum=low, maximum=high)


def _widen(minimum: float, maximum: float, whole: bool) -> tuple[float, float]:
    # Half the span to either side, in round numbers; what is never negative stays so, and a flag a flag.
    if whole and minimum >= 0 and maximum <= 1:
        return 0, 1
    slack = (maximum - minimum) / 2 or max(abs(maximum), 1.0)
    exponent = max(math.floor(math.log10(slack)), 0 if whole else -300)
    low = round(math.floor((minimum - slack) / 10.0**exponent) * 10.0**exponent, -exponent)
    high = round(math.ceil((maximum + slack) / 10.0**exponent) * 10.0**exponent, -exponent)
    low, high = max(low, 0) if minimum >= 0 else low, min(high, 0) if maximum <= 0 else high
    return min(low, minimum), max(high, maximum)


def _sort(values: Collection[str]) -> tuple[str, ...]:
    is_number = all(map(_NUMBER.fullmatch, values))
    return tuple(sorted(values, key=lambda value: (float(value.replace(",", ".")) if is_number else 0, value)))


def _first(values: Iterable[str]) -> str:
    return next(iter(values), "")


def _mostly(pattern: re.Pattern[str], words: Collection[str]) -> bool:
    return sum(pattern.fullmatch(word) is not None for word in words) > len(words) / 2
