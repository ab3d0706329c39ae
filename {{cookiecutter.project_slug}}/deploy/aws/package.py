"""What the programs here take from the project's package, so that no other file here has to know its name."""

from {{ cookiecutter.__package }}.config import Project, Settings, find_project, read_settings
from {{ cookiecutter.__package }}.data.loading import find_raw_files
from {{ cookiecutter.__package }}.data.preparation import read_summary
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.files import hash_file, hash_json, staged_folder, write_json
from {{ cookiecutter.__package }}.modeling.manifest import MANIFEST_FILE
from {{ cookiecutter.__package }}.modeling.registry import Registry
# {% if cookiecutter.serving != "none" %}
from {{ cookiecutter.__package }}.serving.rows import example_row
# {% endif %}

PROJECT = "{{ cookiecutter.project_slug }}"

__all__ = [
    "MANIFEST_FILE",
    "PROJECT",
    "Project",
    "ProjectError",
    "Registry",
    "Settings",
    # {% if cookiecutter.serving != "none" %}
    "example_row",
    # {% endif %}
    "find_project",
    "find_raw_files",
    "hash_file",
    "hash_json",
    "read_settings",
    "read_summary",
    "staged_folder",
    "write_json",
]
