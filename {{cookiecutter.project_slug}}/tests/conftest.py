"""Fixtures: this project's own table, trained once, and toy projects for the machinery."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from {{ cookiecutter.__package }}.config import Project, find_project
from {{ cookiecutter.__package }}.data.loading import ROW_NUMBER, find_raw_files, scan_table
from {{ cookiecutter.__package }}.data.preparation import prepare_data
from {{ cookiecutter.__package }}.data.splitting import read_split
from {{ cookiecutter.__package }}.modeling import pipeline
from {{ cookiecutter.__package }}.modeling.metrics import find_metric
from {{ cookiecutter.__package }}.terminal import configure_logging

from .toys import change_config, make_toy, run_pipeline

MOST_ROWS = 4_000


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    yield
    configure_logging()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Workers that share two cores wait for each other's threads otherwise."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of this project in a temporary folder, taken from raw data to `latest`."""
    here = find_project(Path(__file__).parent)
# {% if cookiecutter.data_versioning == "dvc" %}
    # As in CI, which has no credentials for the remote where it runs what anyone proposes.
    if all(path.suffix == ".dvc" or path.name == "README.md" for path in here.raw.iterdir()):
        pytest.skip("the raw files are not here; `make pull` brings them")
# {% endif %}
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(here.root / "config", root / "config")
# {% if cookiecutter.tracking == "mlflow" %}
    # Tests are no runs that anyone wants to find again.
    (root / "config" / "mlflow.yaml").unlink(missing_ok=True)
# {% endif %}
    project = _copy_some_rows(here, Project(root))
    gate = here.model.gate.model_dump()
    # These tests are about the machinery; whether the model is good enough is for the gate to say.
    gate["minimum"] = -1e9 if find_metric(here.schema, here.model).greater_is_better else 1e9
    project = change_config(project, "model", gate=gate)
    pipeline.run_pipeline(project)
    return project


def _copy_some_rows(source: Project, target: Project) -> Project:
    # Rows from all over the table, so that a large one does not make the tests slow.
    settings = source.pipeline.source
    target.raw.mkdir(parents=True)
    files = find_raw_files(source)
    counts = [scan_table(path, settings).select(pl.len()).collect().item() for path in files]
    step = math.ceil(sum(counts) / MOST_ROWS)
    for place, path in enumerate(files):
        if step <= 1:
            shutil.copy(path, target.raw / f"{place}-{path.name}")
        else:
            rows = scan_table(path, settings).filter(pl.col(ROW_NUMBER) % step == 0).drop(ROW_NUMBER)
            rows.sink_parquet(target.raw / f"{place}-{path.stem}.parquet")
    return change_config(target, "pipeline", source=settings.model_copy(update={"files": "*"}).model_dump(mode="json"))


@pytest.fixture(scope="session")
def sample_rows(trained: Project) -> list[dict[str, Any]]:
    """Rows of the test split as JSON objects: the features alone."""
    frame, features = read_split(trained.splits, "test").head(50), trained.schema.features
    forms = {name: column.format for name, column in features.items() if column.format}
    texts = [pl.col(name).dt.replace_time_zone("UTC").dt.strftime(form) for name, form in forms.items()]
    rows: list[dict[str, Any]] = frame.select(list(features)).with_columns(texts).to_dicts()
    for row in rows:
        for name, value in row.items():
            if trained.schema.columns[name].type == "integer" and value is not None:
                row[name] = int(value)
    return rows


@pytest.fixture
def toy(tmp_path: Path) -> Project:
    """A toy project with raw rows and nothing else."""
    return make_toy(tmp_path)


@pytest.fixture
def prepared(toy: Project) -> Project:
    """A toy project with its splits."""
    prepare_data(toy)
    return toy


@pytest.fixture(scope="session")
def finished_toy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy project that was taken to its first version, for copies alone."""
    project = make_toy(tmp_path_factory.mktemp("toy"))
    run_pipeline(project)
    return project


@pytest.fixture
def trained_toy(finished_toy: Project, tmp_path: Path) -> Project:
    """A toy project with a first version."""
    shutil.copytree(finished_toy.root, tmp_path, dirs_exist_ok=True)
    return Project(tmp_path)
