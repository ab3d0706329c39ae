"""From the facts about each column to what the schema says of it, with the reason."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from ...errors import ProjectError
from ...schema import FALSE_WORDS, TRUE_WORDS, Column, ColumnType, Schema, Task
from .survey import ColumnFacts, Survey, find_time_formats

Use = Literal["target", "feature", "identifier", "group", "time", "ignored", "dropped"]

_FEWEST_ROWS = 50
_MOST_CLASSES = 50
_ROWS_A_CATEGORY = 10
_ROWS_A_TEXT = 3
_FEWEST_GROUPS, _MOST_ROWS_A_GROUP = 30, 100
_MOST_LISTED = 60
_FEWEST_AMOUNTS = 20

# What a column's name ends in says who a row is about, or of what kind something is, or that it counts rows.
_WHO = (
    "customer|cust|client|patient|user|member|guest|player|person|subject|participant|respondent|student|pupil"
    "|employee|household|family|account|owner|kunde"
)
_KIND = (
    "zip|zipcode|postal|postcode|plz|city|town|place|airport|station|origin|dest|destination|country|state|county"
    "|region|product|item|sku|article|store|shop|branch|brand|model|make|category|class|type|code|department|dept"
)
_NUMBERED = r"([\W_]*(id|uuid|guid|key|rowid|identifier|no|nr|number|code))?"
_PARTS = {
    "": re.compile(r"(.*[\W_])?per[\W_].*"),
    "who": re.compile(rf"(.*[\W_])?({_WHO}){_NUMBERED}"),
    "kind": re.compile(rf"(.*[\W_])?({_KIND}){_NUMBERED}"),
    "id": re.compile(r"(id|unnamed|index)([\W_].*)?|(.*[\W_])?(id|uuid|guid|key|rowid)"),
}
_CODE = re.compile(r"\S*\d\S*")
_MARKED_NUMBER = re.compile(r"[-+]?[$€£¥]? ?[-+]?\d{1,3}(([.,' \u00a0\u202f]\d{3})+|\d*)([.,]\d+)? ?[$€£¥%]?")


@dataclass(frozen=True)
class Wishes:
    """What the user says of the table."""

    target: str
    task: Task | None = None
    identifiers: Sequence[str] = ()
    drop: Sequence[str] = ()
    time: str | None = None
    date_format: str | None = None
    encoding: str = "utf8"


@dataclass(frozen=True)
class Decision:
    """What becomes of a column and why; `column` is None where the schema leaves it out."""

    name: str
    use: Use
    column: Column | None
    why: str = ""


def check_wishes(wishes: Wishes, names: Sequence[str], header: Sequence[str]) -> None:
    """Raise ProjectError where a column that the user named does not exist, occurs twice, or is given two parts."""
    left, time = list(names), [wishes.time] if wishes.time else []
    said = {"--target": [wishes.target], "--id": wishes.identifiers, "--drop": wishes.drop, "--time-split": time}
    for option, name in ((option, name) for option, columns in said.items() for name in columns):
        if name not in names:
            found = ", ".join(map(repr, names[:20]))
            raise ProjectError(f"{option} {name}: there is no such column. The first line of the file has {found}.")
        if name not in left or header.count(name) > 1:
            raise ProjectError(f"{option} {name}: it has another part already, or the table has several of that name.")
        left.remove(name)


def decide_columns(survey: Survey, wishes: Wishes, names: Sequence[str]) -> tuple[Schema, list[Decision]]:
    """The schema, and what becomes of each of the table's columns.

    Raises ProjectError where the target does not fit the task, the task cannot be told, or no feature is left.
    """
    task, target = _decide_target(wishes, survey.columns[wishes.target])
    decided = {wishes.target: target}
    for name, facts in survey.columns.items():
        if name in wishes.identifiers:
            decided[name] = Decision(name, "identifier", Column(type="text", role="identifier"), "--id")
        elif name != wishes.target:
            decision = _decide_column(name, facts, survey.sample[name], wishes.date_format)
            decided[name] = _split_by(decision, facts) if name == wishes.time else decision
    # Rows that share a value of the coarsest group share most of the finer ones, too.
    found = [name for name, decision in decided.items() if decision.use == "group"]
    first, *others = sorted(found, key=lambda name: survey.columns[name].different) or [""]
    for name in others:
        decided[name] = _ignore(name, f"names who a row is about, as {first!r} does")
    if not any(decision.use == "feature" for decision in decided.values()):
        reasons = "\n".join(f"  {decision.name}: {decision.why}" for decision in decided.values() if decision != target)
        raise ProjectError(f"No column is left to predict from:\n{reasons}")
    decisions = [decided.get(name) or Decision(name, "dropped", None, "--drop") for name in names]
    columns = {decision.name: decision.column for decision in decisions if decision.column is not None}
    return Schema(task=task, target=wishes.target, columns=columns), decisions


def _decide_target(wishes: Wishes, facts: ColumnFacts) -> tuple[Task, Decision]:
    name = wishes.target
    if facts.present < _FEWEST_ROWS:
        found = f"Only {facts.present} of {facts.rows} rows have a {name}"
        raise ProjectError(f"{found}; at least {_FEWEST_ROWS} are needed to train and test.")
    if facts.different == 1:
        raise ProjectError(f"Every row has the same {name}, {_first(facts.values)!r}; there is nothing to predict.")
    task = wishes.task or _tell_task(name, facts)
    missing = f"; {facts.missing} rows have none and will be rejected" * bool(facts.missing)
    if task == "regression":
        if not facts.is_numeric:
            found = f"{facts.present - facts.numbers} of {facts.present} values of {name} are none"
            remedy = "write them without signs and marks, or use --task classification"
            raise ProjectError(f"A regression needs numbers, but {found}, such as {_first(facts.words)!r}; {remedy}.")
        column = Column(type="integer" if facts.is_whole else "number")
        return task, Decision(name, "target", column, f"{facts.minimum:.10g} to {facts.maximum:.10g}{missing}")
    if facts.different > _MOST_CLASSES:
        instead = "use --task regression" if facts.is_numeric else "group them into fewer"
        found = f"{name} has {facts.different} different values, more than {_MOST_CLASSES} classes"
        raise ProjectError(f"{found}; {instead}.")
    column = Column(type="category", categories=_sort(facts))
    return task, Decision(name, "target", column, f"{facts.different} classes{missing}")


def _tell_task(name: str, facts: ColumnFacts) -> Task:
    if not facts.is_numeric:
        return "classification"
    is_row = facts.minimum in (0, 1) and facts.maximum - facts.minimum + 1 == facts.different <= 10
    if facts.is_whole and (facts.different == 2 or is_row):
        return "classification"
    if not facts.is_whole or facts.different > _FEWEST_AMOUNTS:
        return "regression"
    raise ProjectError(
        f"{name} has {facts.different} different whole numbers, from {facts.minimum:g} to {facts.maximum:g}: "
        "say --task classification if they are names of classes, --task regression if they are amounts."
    )


def _split_by(found: Decision, facts: ColumnFacts) -> Decision:
    column = found.column
    if facts.different >= 3 and column is not None and (column.is_numeric or column.type == "timestamp"):
        return replace(found, use="time")
    such = f"values such as {_first(facts.values)!r} are no numbers or times of one known format, or fewer than three"
    raise ProjectError(f"--time-split {found.name}: {such} ({found.why}).")


def _decide_column(name: str, facts: ColumnFacts, sample: pl.Series, date_format: str | None) -> Decision:
    if not facts.present:
        return Decision(name, "dropped", None, "empty: no row has a value")
    if facts.different == 1 and not facts.missing:
        return Decision(name, "dropped", None, f"constant: every row has {_first(facts.values)!r:.40}")
    words = {word.lower() for word in facts.values} if not facts.numbers else set()
    if words & set(TRUE_WORDS) and words & set(FALSE_WORDS) and words <= {*TRUE_WORDS, *FALSE_WORDS}:
        return _make_feature(name, facts, type="boolean")
    has_days = facts.has_numbers and facts.is_whole and 1700_01_01 <= facts.minimum <= facts.maximum <= 2200_12_31
    formats = find_time_formats(sample, date_format) if has_days or not facts.has_numbers else []
    if len(formats) == 1:
        return _make_feature(name, facts, f"written {formats[0]}", type="timestamp", format=formats[0])
    if _is_group(name, facts):
        why = f"rows of one value share a split, {facts.rows_each:.1f} rows each"
        return Decision(name, "group", Column(type="text", role="group"), why)
    if reason := _find_reason_to_ignore(name, facts, formats):
        return _ignore(name, reason)
    is_name = facts.is_whole and _tell_part(name) != "" and facts.different > _FEWEST_AMOUNTS
    if not facts.is_numeric or is_name:
        return _categorize(name, facts)
    kind = "integer" if facts.is_whole else "number"
    return _make_feature(name, facts, type=kind, unseen="take", minimum=facts.minimum, maximum=facts.maximum)


def _is_group(name: str, facts: ColumnFacts) -> bool:
    """Whether a column names who or what several rows are about, such as a customer that returns, as its name tells.

    What many rows share (an airport, a ZIP code, a product) is a kind of thing, which new rows share too.
    """
    if facts.different < _FEWEST_GROUPS or not facts.is_whole or _tell_part(name) not in ("who", "id"):
        return False
    return 1.02 <= facts.rows_each <= _MOST_ROWS_A_GROUP


def _tell_part(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_ ").lower()
    return next((part for part, pattern in _PARTS.items() if pattern.fullmatch(words)), "")


def _find_reason_to_ignore(name: str, facts: ColumnFacts, formats: list[str]) -> str:
    if formats:
        return f"a date that can be read as {' or '.join(formats)}; say which with --date-format"
    marked = [word for word in facts.words if _MARKED_NUMBER.fullmatch(word)]
    if not facts.is_numeric and len(marked) > len(facts.words) / 2:
        return f"numbers with signs or marks, such as {marked[0]!r:.40}: remove these to use them"
    is_unique = facts.different >= 0.98 * facts.present and not facts.missing
    is_row = facts.is_numeric and facts.maximum - facts.minimum < facts.rows * 1.02
    is_code = not facts.is_numeric and all(map(_CODE.fullmatch, facts.words))
    is_key = is_row or is_code or _tell_part(name) in ("who", "id")
    return "an identifier: each row has its own" if is_unique and is_key and facts.is_whole else ""


def _ignore(name: str, why: str) -> Decision:
    return Decision(name, "ignored", Column(type="text", role="ignored", description=why), why)


def _categorize(name: str, facts: ColumnFacts) -> Decision:
    if facts.different > max(5, min(_MOST_LISTED, facts.rows // _ROWS_A_CATEGORY)):
        is_text = facts.rows_each < _ROWS_A_TEXT and not facts.has_numbers
        kind: ColumnType = "text" if is_text else "category"
        return _make_feature(name, facts, f"{facts.different} values, about {facts.rows_each:.0f} rows each", type=kind)
    # Those of a few rows in a large table tell nothing that can be learned; they count as none of the list.
    fewest = min(_ROWS_A_CATEGORY, facts.rows // 200)
    listed = [value for value in _sort(facts) if facts.values[value] >= fewest] or _sort(facts)
    return _make_feature(name, facts, f"{len(listed)} values", type="category", unseen="take", categories=tuple(listed))


def _make_feature(name: str, facts: ColumnFacts, reason: str = "", **column: Any) -> Decision:
    why = [reason] * bool(reason) + [f"{facts.missing / facts.rows:.2%} missing"] * bool(facts.missing)
    return Decision(name, "feature", Column(nullable=facts.missing > 0, **column), "; ".join(why))


def _sort(facts: ColumnFacts) -> tuple[str, ...]:
    is_number = facts.numbers == facts.present
    return tuple(sorted(facts.values, key=lambda value: (float(value.replace(",", ".")) if is_number else 0, value)))


def _first(values: Collection[str]) -> str:
    return next(iter(values), "")
