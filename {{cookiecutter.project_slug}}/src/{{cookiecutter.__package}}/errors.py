"""Errors that a user can act on."""


class ProjectError(Exception):
    """Says what to edit, answer or run instead; the command line prints that alone and exits with `exit_code`."""

    exit_code = 1


class DataRejectedError(ProjectError):
    """More rows break the schema than `config/pipeline.yaml` allows."""

    exit_code = 2


class PromotionRefusedError(ProjectError):
    """The candidate did not pass the gate."""


class CodeChangedError(ProjectError):
    """The present feature code gives a model other features or scores than it had at its training."""
