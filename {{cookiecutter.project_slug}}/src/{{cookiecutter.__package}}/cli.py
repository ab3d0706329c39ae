"""One command a stage; each hands over to the module that does the work."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .config import Project, find_project
from .errors import ProjectError
from .modeling.pipeline import DATA_LOG, STAGES, TRAINING_LOG, Stage, run_pipeline
from .modeling.registry import Registry, list_versions
from .schema import Task
# {% if cookiecutter.serving != "none" %}
from .serving.command import example, serve
# {% endif %}
from .terminal import configure_logging, print_table, table_from_frame
from .tracking.run import compare_runs, describe_runs, find_run

INFERENCE_LOG = "inference.log"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
runs = typer.Typer(help="List what was tried, show a run, compare two.", invoke_without_command=True)
app.add_typer(runs, name="runs")

_NewSchema = Annotated[bool, typer.Option("--new-schema", help="Accept a table that differs from that of latest.")]


def main() -> None:
    """Run the command line; a `ProjectError` is printed alone and gives its exit code."""
    try:
        app()
    except ProjectError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


@app.command()
def adopt(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A .csv, .tsv or .parquet file.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    task: Annotated[Task | None, typer.Option(help="classification or regression, where it cannot be told.")] = None,
    identifier: Annotated[
        list[str] | None, typer.Option("--id", help="A column that names what a row is about; may be repeated.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    time_split: Annotated[str | None, typer.Option(help="A column of times: the latest rows are held out.")] = None,
    date_format: Annotated[str | None, typer.Option(help="How dates are written, as in '%d.%m.%Y'.")] = None,
    encoding: Annotated[
        Literal["utf8", "cp1252", "latin-1", "utf-16"], typer.Option(help="How the text is written.")
    ] = "utf8",
) -> None:
    """Make TABLE the project's own: infer config/ from it and copy it to data/raw."""
    from .data.adoption.adopting import adopt_table, print_adoption
    from .data.adoption.inference import Wishes

    project = _open_project(DATA_LOG)
    wishes = Wishes(target, task, identifier or (), drop or (), time_split, date_format, encoding)
    print_adoption(adopt_table(project, table, wishes, Registry(project.models).latest()))


@app.command()
def explore() -> None:
    """Describe the raw data in reports/data_profile.html and reports/tables."""
    from .data.exploration import explore_data

    print_table(table_from_frame(explore_data(_open_project(DATA_LOG)).statistics))


@app.command()
def train(
    onnx: Annotated[
        Path | None, typer.Option(help="Take this ONNX file for the candidate, in place of training one.")
    ] = None,
) -> None:
    """Train what config/model.yaml says and write models/candidate."""
    from .modeling.training import train_model

    train_model(_open_project(TRAINING_LOG), onnx)


def _add_stage(stage: Stage) -> None:
    @app.command(stage.name, help=stage.run.__doc__)
    def run() -> None:
        stage.run(_open_project(stage.log))


for _stage in STAGES:
    if _stage.name != "train":  # whose command has an option
        _add_stage(_stage)


@app.command()
def promote(
    new_schema: _NewSchema = False,
    force: Annotated[bool, typer.Option("--force", help="Promote against the gate; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Promote nothing: write reports/comparison.md, which says what would be.")
    ] = False,
) -> None:
    """Make the candidate a version and move models/latest to it, if the gate lets it and it is another model."""
    from .modeling.promotion import preview_promotion, promote_model

    if force != bool(reason.strip()) or (dry_run and force):
        raise ProjectError('--force and --reason "…" belong together: give both, or none; neither goes with --dry-run.')
    project = _open_project(TRAINING_LOG)
    typer.echo(preview_promotion(project, new_schema) if dry_run else promote_model(project, new_schema, reason))


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="Such as v1; if not given, the one before latest.")] = None,
    new_schema: _NewSchema = False,
) -> None:
    """Check an older version, then move models/latest back to it."""
    from .modeling.promotion import roll_back

    typer.echo(f"models/latest is now {roll_back(_open_project(TRAINING_LOG), version, new_schema)}")


@app.command()
def pipeline() -> None:
    """Run data, train, evaluate and promote."""
    typer.echo(run_pipeline(_open_project(TRAINING_LOG)))


@app.command()
def predict(
    output: Annotated[Path, typer.Option(help="Where to write; .csv or .parquet.")],
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[INPUT]", help="A .csv, .tsv or .parquet file; the first raw file if not given."),
    ] = None,
) -> None:
    """Score the rows of a file with models/latest."""
    from .data.loading import find_raw_files
    from .modeling.prediction import predict_file

    project = _open_project(INFERENCE_LOG)
    summary = predict_file(project, source or find_raw_files(project)[0], output)
    typer.echo(f"{summary.version}: {summary.scored} rows scored, {summary.refused} refused, written to {output}")


# {% if cookiecutter.monitoring == "drift" %}
@app.command()
def monitor(
    table: Annotated[Path | None, typer.Option(help="Rows to judge (CSV, TSV, Parquet) in place of requests.")] = None,
) -> None:
    """Compare recent rows with those that models/latest was trained on; exit code 3 means drift."""
    from .monitoring.drift import monitor_model

    verdict = monitor_model(_open_project(INFERENCE_LOG), table)
    print_table(table_from_frame(verdict.checks.head(30)))
    raise typer.Exit(verdict.exit_code)


# {% endif %}
@app.command()
def models() -> None:
    """List the versions, their metrics, and which is latest."""
    print_table(list_versions(_open_project()))


@runs.callback()
def show_runs(context: typer.Context) -> None:
    """List the runs, what each tried, and what came of it."""
    if context.invoked_subcommand is None:
        print_table(describe_runs(_open_project()))


@runs.command("show")
def show_run(run: str) -> None:
    """Show all that one run logged; the beginning of its name is enough."""
    print_table(compare_runs(find_run(_open_project(), run)))


@runs.command("diff")
def compare_two_runs(left: str, right: str) -> None:
    """Show settings, data and metrics of two runs side by side."""
    project = _open_project()
    print_table(compare_runs(find_run(project, left), find_run(project, right)))


# {% if cookiecutter.tracking == "mlflow" %}
@runs.command("sync")
def sync_runs() -> None:
    """Send to MLflow what it lacks, and point its alias `champion` at models/latest."""
    from .tracking.mlflow import Destination
    from .tracking.run import list_runs

    project = _open_project()
    destination = Destination(project)
    count = destination.send(list_runs(project), Registry(project.models).latest())
    typer.echo(f"{count} run(s) sent to {destination.uri}" if count else f"{destination.uri} has all runs")


# {% endif %}
# {% if cookiecutter.serving != "none" %}
app.command()(serve)
app.command()(example)


# {% endif %}
def _open_project(log_name: str | None = None) -> Project:
    project = find_project()
    configure_logging(project.logs / log_name if log_name else None)
    return project
