"""What a version says of itself, and that whatever loads it refuses one whose files or feature code changed."""

import json

import numpy as np
from demo_project.config import Project
from demo_project.modeling.manifest import GOLDEN_FILE
from demo_project.modeling.model import describe_typical
from demo_project.modeling.prediction import load_latest
from demo_project.schema import Schema

from .toys import (
    TOY_HEADER,
    TOY_SCHEMA,
    change_config,
    run_pipeline,
    toy_rows,
    write_raw,
)


def test_golden_rows_hold_strings_and_times_and_make_up_what_is_sensitive(toy: Project) -> None:
    more: dict[str, dict[str, object]] = {
        "seen": {"type": "timestamp", "format": "%d.%m.%Y %H:%M"},
        "word": {"type": "text", "nullable": True},
        "place": {"type": "category"},
    }
    hidden = {f"hidden {name}": column | {"sensitive": True} for name, column in more.items()}
    marked = {name: column | {"sensitive": name != "kind"} for name, column in TOY_SCHEMA["columns"].items()}
    values = [f"{1 + row % 28:02}.03.2024 18:30,hush {row % 9},p{row % 50}" for row in range(400)]
    lines = [f"{line},{value},{value}" for line, value in zip(toy_rows(400), values, strict=True)]
    write_raw(toy.root, lines, header=",".join([TOY_HEADER, *more, *hidden]))
    run_pipeline(change_config(toy, "schema", columns=marked | more | hidden))
    rows = json.loads((toy.candidate / GOLDEN_FILE).read_text())["rows"]
    real = (toy.raw / "rows.csv").read_text()
    assert all(row[name] in real for row in rows[:-1] for name in ("word", "place"))
    assert rows[-1]["word"] is None
    assert not any(str(row[name]) in real for row in rows for name in hidden)
    assert not any(str(row["size"]) in real for row in rows)
    assert all(0 <= row["size"] <= 100 and row["age"] == round(row["age"]) for row in rows[:-1])
    assert len({row["size"] for row in rows}) == len(rows)
    assert load_latest(toy).manifest.version == "v1"


def test_a_typical_row_has_medians_and_frequent_values_and_nothing_of_a_sensitive_column() -> None:
    columns = TOY_SCHEMA["columns"] | {
        "seen": {"type": "timestamp", "format": "%d.%m.%Y"},
        "word": {"type": "text"},
        "place": {"type": "category"},
    }
    schema = Schema.model_validate(TOY_SCHEMA | {"columns": columns})
    values = {
        "size": np.array([1, 2.5, 9]),
        "age": np.array([np.nan, 40, 43]),
        "colour": np.array([2, 2, -1]),
        "striped": np.array([0.0, 1, 1]),
        "seen": np.array([0.0, 10, 20]),
        "word": np.array(["a", "b", "c"], dtype=object),
        "place": np.array(["x", "y", "y"], dtype=object),
    }
    typical = {"size": 2.5, "age": 42, "colour": "blue", "striped": True, "seen": "11.01.1970", "word": "text"}
    assert describe_typical(schema, values) == typical | {"place": "y"}
    hidden = {name: column | {"sensitive": True} for name, column in columns.items()}
    told = describe_typical(Schema.model_validate(TOY_SCHEMA | {"columns": hidden}), values)
    assert told == {
        "size": 50,
        "age": 60,
        "colour": "red",
        "striped": False,
        "seen": "04.10.2024",
        "word": "text",
        "place": "text",
    }
