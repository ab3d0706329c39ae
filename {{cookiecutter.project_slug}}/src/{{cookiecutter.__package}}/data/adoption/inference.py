"""From the facts about each column to what the schema says of it, with the reason."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal

import polars as pl

from ...errors import ProjectError
from ...schema import FALSE_WORDS, TRUE_WORDS, Column, Schema, Task
from .survey import ColumnFacts, Survey, find_time_formats

Use = Literal["target", "feature", "identifier", "group", "time", "ignored", "dropped"]

_FEWEST_ROWS = 50
_MOST_CLASSES = 50
_ROWS_A_CATEGORY = 10
_MOST_LISTED = 60
_FEWEST_AMOUNTS = 20

# What the last word of a column's name says: that it counts rows, who a row is about, or of what kind something is.
_ID = re.compile(r"id|uuid|guid|key|rowid|unnamed|identifier|no|nr|number|code")
_WHO = re.compile(
    r"customer|cust|client|patient|user|member|guest|player|person|subject|participant|respondent|student|pupil"
    r"|employee|household|family|account|owner|kunde"
)
_KIND = re.compile(
    r"zip|zipcode|postal|postcode|plz|city|town|place|airport|station|origin|dest|destination|country|state|county"
    r"|region|product|item|sku|article|store|shop|branch|brand|model|make|category|class|type|code|department|dept"
)
_NUMBER = re.compile(r"[-+]?\d*[.,]?\d+([eE][-+]?\d+)?(_duplicated_\d+)?")
_NUMBER_WITH_SIGN = re.compile(r"[-+]?[$€£¥] ?[-+]?\d[\d.,]*|[-+]?\d[\d.,]* ?[$€£¥%]")
_MARKED_NUMBER = re.compile(r"[-+]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d+)?|[-+]?\d+,\d+")


@dataclass(frozen=True)
class Wishes:
    """What the user says of the columns; `columns` has those that options such as --id and --drop name."""

    target: str
    task: Task | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    time: str | None = None
    date_format: str | None = None

    def options(self) -> list[tuple[str, str]]:
        """Each option that names a column, with the column."""
        said = [(option, name) for option, names in self.columns.items() for name in names]
        return [("--target", self.target), *said] + [("--time-split", self.time or "")] * bool(self.time)


@dataclass(frozen=True)
class Decision:
    """What becomes of a column and why; `column` is None where the schema leaves it out."""

    name: str
    use: Use
    column: Column | None
    why: str = ""


def check_wishes(wishes: Wishes, names: Sequence[str], header: Sequence[str]) -> None:
    """Raise ProjectError where a column that the user named does not exist, occurs twice, or is given two parts."""
    seen: dict[str, str] = {}
    for option, name in wishes.options():
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
    decided, wished = {wishes.target: target}, {name: option for option, name in wishes.options()}
    for name, facts in survey.columns.items():
        if name in wished and name != wishes.target:
            decided[name] = _obey(wished[name], name, facts, survey.sample[name], wishes.date_format)
        elif name != wishes.target:
            decided[name] = _decide_column(name, facts, survey.sample[name], wishes.date_format)
    # Rows that share a value of the coarsest group share most of the finer ones, too; what the user wishes goes first.
    found = [name for name, decision in decided.items() if decision.use == "group"]
    first, *others = sorted(found, key=lambda name: (name not in wished, survey.columns[name].different)) or [""]
    for name in (name for name in others if name not in wished):
        why = f"names who a row is about, as {first!r} does: --group or --category"
        decided[name] = Decision(name, "ignored", Column(type="text", role="ignored", description=why), why)
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
        column = Column(type="integer" if facts.is_whole else "number")
        return task, Decision(name, "target", column, f"{facts.minimum:.10g} to {facts.maximum:.10g}{missing}")
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
    distinct, is_signed = facts.different, _mostly(_NUMBER_WITH_SIGN, facts.words)
    is_row = facts.is_whole and facts.minimum in (0, 1) and facts.maximum - facts.minimum + 1 == distinct
    if (not facts.is_numeric and not is_signed) or (facts.is_whole and distinct == 2) or (is_row and distinct <= 10):
        return "classification"
    if is_signed:
        raise ProjectError(
            f"{name} has numbers with a sign, such as {_first(facts.words)!r}: remove the sign to predict them, "
            "or say --task classification if they are names of classes."
        )
    if not facts.is_whole or distinct > _FEWEST_AMOUNTS:
        return "regression"
    raise ProjectError(
        f"{name} has {distinct} different whole numbers, from {facts.minimum:g} to {facts.maximum:g}: "
        "say --task classification if they are names of classes, --task regression if they are amounts."
    )


def _obey(option: str, name: str, facts: ColumnFacts, sample: pl.Series, date_format: str | None) -> Decision:
    if option in ("--id", "--group"):
        part: Literal["identifier", "group"] = "identifier" if option == "--id" else "group"
        return Decision(name, part, Column(type="text", role=part), f"{option}: rows with the same value share a split")
    if option == "--text":
        return _make_feature(name, facts, option, type="text")
    if option == "--category":
        return _categorize(name, facts, option)
    formats, example = find_time_formats(facts, sample, date_format), _first(facts.values)
    is_split = option == "--time-split"
    is_number = is_split and facts.has_numbers and not formats
    problem = ""
    if len(formats) > 1:
        problem = f"{example!r} can be read as {' or '.join(formats)}; say which with --date-format."
    elif not formats and not is_number:
        times = "numbers or times" if is_split else "times"
        problem = f"values such as {example!r} are no {times} of a known format; say it as in --date-format '%d.%m.%Y'."
    elif is_split and facts.different < 3:
        problem = f"{facts.different} different times cannot be cut into three splits; leave it out."
    if problem:
        raise ProjectError(f"{option} {name}: {problem}")
    if is_number:
        column = Column(type="integer" if facts.is_whole else "number", role="ignored", description=option)
        return Decision(name, "time", column, option)
    found = _make_feature(name, facts, option, f"written {formats[0]}", type="timestamp", format=formats[0])
    return replace(found, use="time") if is_split else found


def _decide_column(name: str, facts: ColumnFacts, sample: pl.Series, date_format: str | None) -> Decision:
    if not facts.present:
        return Decision(name, "dropped", None, "empty: no row has a value")
    if facts.different == 1 and not facts.missing:
        return Decision(name, "dropped", None, f"constant: every row has {_first(facts.values)!r:.40}")
    words = {word.lower() for word in facts.values} if not facts.numbers else set()
    if words & set(TRUE_WORDS) and words & set(FALSE_WORDS) and words <= {*TRUE_WORDS, *FALSE_WORDS}:
        return _make_feature(name, facts, type="boolean")
    has_days = facts.has_numbers and facts.is_whole and 1700_01_01 <= facts.minimum <= facts.maximum <= 2200_12_31
    formats = find_time_formats(facts, sample, date_format) if has_days or not facts.has_numbers else []
    if len(formats) == 1:
        return _make_feature(name, facts, f"written {formats[0]}", type="timestamp", format=formats[0])
    if is_group(name, facts):
        return Decision(name, "group", Column(type="text", role="group"), f"{facts.different} values that repeat")
    reason = _find_reason_to_ignore(name, facts, formats)
    if reason:
        return Decision(name, "ignored", Column(type="text", role="ignored", description=reason), reason)
    is_name = facts.is_whole and _tell_part(name) != "" and facts.different > _FEWEST_AMOUNTS
    if not facts.is_numeric or is_name:
        is_text = facts.rows_each < 2 or (facts.words_each >= 3 and facts.rows_each < _ROWS_A_CATEGORY)
        if is_text and not facts.has_numbers and facts.different > _most_listed(facts):
            return _make_feature(name, facts, f"{facts.different} different values", type="text")
        return _categorize(name, facts)
    unreadable = facts.present - facts.numbers
    odd = f"{unreadable} rows are no number, such as {_first(facts.words)!r:.40}: rejected" if unreadable else ""
    kind, limits = "integer" if facts.is_whole else "number", {"minimum": facts.minimum, "maximum": facts.maximum}
    return _make_feature(name, facts, odd, type=kind, unseen="take", **limits)


def is_group(name: str, facts: ColumnFacts) -> bool:
    """Whether a column names who or what several rows are about, such as a customer that returns.

    By its name where it is one of a person's or an identifier's; otherwise where codes such as A-1029 have a few
    rows each. What many rows share (an airport, a ZIP code, a product) is a kind of thing, which new rows share too.
    """
    if facts.single > 0.98 * facts.present or facts.different < 30 or not (facts.is_whole or not facts.has_numbers):
        return False
    most_rows = {"who": 200, "id": 50, "kind": 0, "": 5}[part := _tell_part(name)]
    is_coded = part != "" or (facts.are_codes and not facts.is_numeric and facts.rows_each >= 1.5)
    return is_coded and facts.rows_each <= most_rows and facts.different > min(_MOST_LISTED, facts.rows // 20)


def _tell_part(name: str) -> Literal["who", "kind", "id", ""]:
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_ ").lower())
    is_named = _ID.fullmatch(words[-1]) is not None
    noun = words[-2] if is_named and len(words) > 1 else words[-1].removesuffix("id")
    if "per" in words:
        return ""
    if _WHO.fullmatch(noun) or _KIND.fullmatch(noun):
        return "who" if _WHO.fullmatch(noun) else "kind"
    return "id" if words[0] in ("id", "unnamed", "index") or words[-1] in ("id", "uuid", "guid", "key", "rowid") else ""


def _find_reason_to_ignore(name: str, facts: ColumnFacts, formats: list[str]) -> str:
    is_unique = facts.different >= 0.98 * facts.present and not facts.missing
    if facts.is_numeric:
        is_dense = facts.maximum - facts.minimum < facts.rows * 1.02
        is_number = facts.is_whole and is_unique and (is_dense or _tell_part(name) in ("who", "id"))
        return "an identifier: each row has its own" if is_number else ""
    if formats:
        return f"a date that can be read as {' or '.join(formats)}: say which with --date-format"
    if _mostly(_NUMBER_WITH_SIGN, facts.words):
        return f"numbers with a sign, such as {_first(facts.words)!r:.40}: remove the sign to use them"
    if _mostly(_MARKED_NUMBER, facts.words):
        return "numbers with marks in them: say --thousands or --decimal-comma"
    is_code = _tell_part(name) in ("who", "id") or facts.has_numbers or facts.are_codes
    return "an identifier: each row has its own" if is_unique and is_code and facts.different > 5 else ""


def _most_listed(facts: ColumnFacts) -> int:
    return max(5, min(_MOST_LISTED, facts.rows // _ROWS_A_CATEGORY))


def _categorize(name: str, facts: ColumnFacts, wish: str = "") -> Decision:
    if facts.different > _most_listed(facts):
        many = f"{facts.different} values, about {facts.rows_each:.0f} rows each"
        return _make_feature(name, facts, wish, many, type="category")
    # Those of a few rows in a large table tell nothing that can be learned; they count as none of the list.
    fewest = min(_ROWS_A_CATEGORY, facts.rows // 200)
    listed = [value for value, count in facts.values.items() if count >= fewest] or list(facts.values)
    rare = f"rare values that count as other: {facts.different - len(listed)}" * (len(listed) < facts.different)
    return _make_feature(name, facts, wish, rare, type="category", unseen="take", categories=_sort(listed))


def _make_feature(name: str, facts: ColumnFacts, *reasons: str, **column: Any) -> Decision:
    share, nullable = facts.missing / facts.rows, facts.missing > 0
    missing = f"{share:.1%} missing" if share >= 0.001 else f"{facts.missing} missing" * nullable
    why = "; ".join(filter(None, (*reasons, missing)))
    return Decision(name, "feature", Column(nullable=nullable, **column), why)


def _describe_near(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    shown = ", ".join(map(repr, near or names[:20])) + ", …" * (not near and len(names) > 20)
    return f"Did you mean {shown}?" if near else f"The first line of the file has {shown}."


def _sort(values: Collection[str]) -> tuple[str, ...]:
    is_number = all(map(_NUMBER.fullmatch, values))
    return tuple(sorted(values, key=lambda value: (float(value.replace(",", ".")) if is_number else 0, value)))


def _first(values: Iterable[str]) -> str:
    return next(iter(values), "")


def _mostly(pattern: re.Pattern[str], words: Collection[str]) -> bool:
    return sum(pattern.fullmatch(word) is not None for word in words) > len(words) / 2
