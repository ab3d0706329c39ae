"""From the facts about each column to what the schema says of it, with the reason."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import polars as pl

from ...errors import ProjectError
from ...schema import Column, Task
from ..validation import FALSE_WORDS, TRUE_WORDS
from .survey import ColumnFacts, Survey
from .times import choose_format, find_formats

Use = Literal["target", "feature", "identifier", "time", "ignored", "dropped"]

FEWEST_ROWS = 50
MOST_CLASSES = 50

_MOST_CATEGORIES = 60
_FEWEST_CATEGORIES = 5
_ROWS_A_CATEGORY = 10
_MOST_OBVIOUS_CLASSES = 10
_FEWEST_AMOUNTS = 20
_FEWEST_TIMES = 3
_UNIQUE_SHARE = 0.98
_TRIED_WORDS = 100
_SHOWN = 60

# Words that mean missing wherever they stand, and words that do among numbers.
_ALWAYS_MISSING = frozenset(
    ["?", "N/A", "n/a", "N.A.", "#N/A", "#NULL!", "#VALUE!", "#DIV/0!", "NULL", "Null", "nan", "<NA>", "NaT", "\\N"]
)
_MISSING_AMONG_NUMBERS = frozenset(
    ["-", "--", ".", "None", "none", "unknown", "Unknown", "missing", "Missing", "na", "nil", "inf", "-inf", "Inf"]
)
_IDENTIFIER_NAME = re.compile(r"(?i)(^|[\s_.-])(id|uuid|guid|key|index|rowid)($|[\s_.-])|[a-z](Id|ID)$|^unnamed")
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
    unreadable: int = 0


def check_wishes(wishes: Wishes, names: Sequence[str], header: Sequence[str]) -> None:
    """Raise ProjectError where a column that the user named does not exist, occurs twice, or is given two parts."""
    given = {"--target": (wishes.target,), "--id": wishes.identifiers, "--drop": wishes.dropped}
    given["--time-split"] = (wishes.time,) if wishes.time else ()
    seen: dict[str, str] = {}
    for option, name in ((option, name) for option, columns in given.items() for name in columns):
        count = list(header).count(name)
        if name not in names:
            raise ProjectError(_describe_absence(option, name, names))
        if count > 1:
            raise ProjectError(f"{option} {name}: the table has {count} columns of that name; rename them.")
        if name in seen:
            raise ProjectError(f"{name!r} cannot be {seen[name]} and {option}; leave one of them out.")
        seen[name] = option


def find_missing_words(survey: Survey) -> list[str]:
    """Words of the table that stand for a missing value; from now on the survey counts them as such."""
    among_numbers, others = set[str](), set[str]()
    for facts in survey.columns.values():
        is_numeric = facts.numbers and facts.present - facts.numbers <= facts.present / 2
        (among_numbers if is_numeric else others).update(facts.words or ())
    found = (among_numbers | others) & _ALWAYS_MISSING | (among_numbers & _MISSING_AMONG_NUMBERS) - others
    for facts in survey.columns.values():
        for word in found:
            facts.forget(word)
    return sorted(found)


def decide_target(survey: Survey, wishes: Wishes) -> tuple[Task, Decision]:
    """The task and what the schema says of the target.

    Raises ProjectError where the target does not fit the task, or the task cannot be told.
    """
    name, facts = wishes.target, survey.columns[wishes.target]
    if facts.present < FEWEST_ROWS:
        raise ProjectError(
            f"Only {facts.present} of {facts.rows} rows have a {name}; "
            f"at least {FEWEST_ROWS} are needed to train and test."
        )
    if facts.different == 1:
        raise ProjectError(f"Every row has the same {name}, {_example(facts)!r}; there is nothing to predict.")
    task = wishes.task or _tell_task(name, facts)
    missing = f"; {facts.missing} rows have none and will be rejected" if facts.missing else ""
    if task == "regression":
        _require_numbers(name, facts)
        return task, Decision(name, "target", _number_column(facts), f"numbers{missing}", facts.present - facts.numbers)
    if facts.values is None or len(facts.values) > MOST_CLASSES:
        instead = "use --task regression" if facts.is_numeric else "group them into fewer"
        raise ProjectError(
            f"{name} has {facts.different} different values, more than {MOST_CLASSES} classes; {instead}."
        )
    rare = [f"{label} ({count})" for label, count in sorted(facts.values.items()) if count < _ROWS_A_CATEGORY]
    why = f"{len(facts.values)} classes" + (f"; rare: {', '.join(rare)[:_SHOWN]}" if rare else "") + missing
    if wishes.task is None and facts.is_numeric:
        why += "; for amounts say --task regression"
    return task, Decision(name, "target", Column(type="category", categories=_sort(facts.values)), why)


def decide_columns(survey: Survey, wishes: Wishes) -> list[Decision]:
    """What becomes of each other column."""
    return [_decide_other(name, survey, wishes) for name in survey.columns if name != wishes.target]


def _decide_other(name: str, survey: Survey, wishes: Wishes) -> Decision:
    facts, sample = survey.columns[name], survey.sample[name]
    if name in wishes.identifiers:
        column = Column(type="text", role="identifier")
        return Decision(name, "identifier", column, "--id: rows with the same value share a split")
    if name == wishes.time:
        return _decide_time(name, facts, sample, wishes.date_format)
    return _decide_column(name, facts, sample)


def _decide_column(name: str, facts: ColumnFacts, sample: pl.Series) -> Decision:
    if not facts.present:
        return Decision(name, "dropped", None, "empty: no row has a value")
    if facts.different == 1 and not facts.missing:
        return Decision(name, "dropped", None, f"constant: every row has {_example(facts)!r:.40}")
    nullable = facts.missing > 0
    missing = f"{facts.missing / facts.rows:.1%} missing" if nullable else ""
    if _is_boolean(facts):
        return Decision(name, "feature", Column(type="boolean", nullable=nullable), missing)
    limit = max(_FEWEST_CATEGORIES, min(_MOST_CATEGORIES, facts.rows // _ROWS_A_CATEGORY))
    why = _find_reason_to_ignore(name, facts, sample, limit)
    if why:
        return Decision(name, "ignored", Column(type="text", role="ignored", description=why), why)
    if not facts.is_numeric:
        column = Column(type="category", nullable=nullable, categories=_sort(facts.values or ()))
        return Decision(name, "feature", column, missing)
    unreadable = facts.present - facts.numbers
    odd = f"{unreadable} rows are no number, such as {_example_word(facts)!r:.40}: rejected" if unreadable else ""
    column = _number_column(facts).model_copy(update={"nullable": nullable})
    return Decision(name, "feature", column, "; ".join(filter(None, [missing, odd])), unreadable)


def _find_reason_to_ignore(name: str, facts: ColumnFacts, sample: pl.Series, limit: int) -> str:
    is_unique = facts.different >= _UNIQUE_SHARE * facts.present and not facts.missing
    is_named = _IDENTIFIER_NAME.search(name) is not None
    if facts.is_numeric:
        is_dense = is_unique and facts.maximum - facts.minimum < facts.rows * 1.02
        if facts.is_whole and (is_dense or (is_named and facts.different > _FEWEST_AMOUNTS)):
            return "an identifier: " + ("each row has its own" if is_unique else "by its name")
        return ""
    if find_formats(sample):
        return "a date or time; no feature is made of it"
    words = facts.words if facts.words is not None else sample.drop_nulls().head(_TRIED_WORDS).to_list()
    if _mostly(_NUMBER_WITH_SIGN, words):
        return f"numbers with a sign, such as {next(iter(words))!r:.40}: remove the sign to use them"
    if _mostly(_MARKED_NUMBER, words):
        return "numbers with marks in them: say --thousands or --decimal-comma"
    if facts.values is not None and len(facts.values) <= limit:
        return ""
    if is_unique and (is_named or facts.has_numbers):
        return "an identifier: each row has its own"
    return f"text: {facts.different} different values, more than {limit} categories"


def _decide_time(name: str, facts: ColumnFacts, sample: pl.Series, date_format: str | None) -> Decision:
    why = "--time-split: the latest rows are held out"
    if date_format is None and facts.has_numbers and "%Y%m%d" not in find_formats(sample):
        column = Column(type="integer" if facts.is_whole else "number", role="ignored", description=why)
        decision = Decision(name, "time", column, why, facts.missing + facts.present - facts.numbers)
    else:
        form = choose_format(name, sample, date_format)
        column = Column(type="timestamp", format=form, role="ignored", description=why)
        decision = Decision(name, "time", column, f"{why}; written {form}", facts.missing)
    if facts.different < _FEWEST_TIMES:
        raise ProjectError(
            f"--time-split {name}: {facts.different} different times cannot be cut into three splits; leave it out."
        )
    return decision


def _require_numbers(name: str, facts: ColumnFacts) -> None:
    if not facts.is_numeric:
        is_marked = _mostly(_MARKED_NUMBER, facts.words or ())
        raise ProjectError(
            f"A regression needs numbers, but {facts.present - facts.numbers} of {facts.present} values of {name} "
            f"are none, such as {_example_word(facts)!r}; use --task classification, or "
            + ("say --decimal-comma or --thousands." if is_marked else "mend them.")
        )


def _tell_task(name: str, facts: ColumnFacts) -> Task:
    if not facts.is_numeric:
        if _mostly(_NUMBER_WITH_SIGN, facts.words or ()):
            raise ProjectError(
                f"{name} has numbers with a sign, such as {_example_word(facts)!r}: remove the sign to predict them, "
                "or say --task classification if they are names of classes."
            )
        return "classification"
    distinct = facts.different
    if facts.integers < facts.numbers or distinct > _FEWEST_AMOUNTS:
        return "regression"
    is_row = facts.minimum in (0, 1) and facts.maximum - facts.minimum + 1 == distinct
    if distinct == 2 or (is_row and distinct <= _MOST_OBVIOUS_CLASSES):
        return "classification"
    raise ProjectError(
        f"{name} has {distinct} different whole numbers, from {facts.minimum:g} to {facts.maximum:g}: "
        "say --task classification if they are names of classes, --task regression if they are amounts."
    )


def _describe_absence(option: str, name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=3, cutoff=0.5) or [
        other for other in names if other.strip().casefold() == name.strip().casefold()
    ]
    shown = ", ".join(map(repr, near or names[:20])) + ("" if near or len(names) <= 20 else ", …")
    hint = "Did you mean " + shown + "?" if near else f"It has {shown}."
    if sum(_is_number(other) for other in names) > len(names) / 2:
        hint += " These look like values: the file needs a first line with the columns' names."
    return f"{option} {name}: the table has no such column. {hint}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d*[.,]?\d+([eE][-+]?\d+)?(_duplicated_\d+)?", text) is not None


def _is_boolean(facts: ColumnFacts) -> bool:
    words = {word.lower() for word in facts.values or ()}
    known = words <= {*TRUE_WORDS, *FALSE_WORDS} and not facts.numbers
    return known and bool(words & set(TRUE_WORDS)) and bool(words & set(FALSE_WORDS))


def _number_column(facts: ColumnFacts) -> Column:
    low, high = _widen(facts.minimum, facts.maximum, facts.is_whole)
    return Column(type="integer" if facts.is_whole else "number", minimum=low, maximum=high)


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
    if all(_is_number(value) for value in values):
        return tuple(sorted(values, key=lambda value: (float(value.replace(",", ".")), value)))
    return tuple(sorted(values))


def _example(facts: ColumnFacts) -> str:
    return next(iter(facts.values or ["…"]))


def _example_word(facts: ColumnFacts) -> str:
    return next(iter(facts.words or [""]))


def _mostly(pattern: re.Pattern[str], words: Collection[str]) -> bool:
    return sum(pattern.fullmatch(word) is not None for word in words) > len(words) / 2
