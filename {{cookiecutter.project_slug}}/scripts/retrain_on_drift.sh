#!/bin/sh
# Run `monitor` with this script's arguments, and the pipeline if it finds drift (exit code 3). Retraining learns from
# the rows in data/raw: bring the new ones first.
# The exit code is that of what ran last.
cd "$(dirname "$0")/.." || exit
uv=$(command -v uv || echo .uv/bin/uv)
"$uv" run --all-extras {{ cookiecutter.project_slug }} monitor "$@"
code=$?
[ "$code" -eq 3 ] || exit "$code"
exec make pipeline
