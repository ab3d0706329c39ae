"""Errors that a user can act on."""


class ProjectError(Exception):
    """A problem whose message names what to edit, answer or run instead.

    The command line prints the message alone, without a traceback, and exits with `exit_code`.
    """

    exit_code = 1


class DataRejectedError(ProjectError):
    """More rows break the schema than `config/pipeline.yaml` allows."""

    exit_code = 2


class PromotionRefusedError(ProjectError):
    """The candidate did not pass the gate."""


class CodeChangedError(ProjectError):
    """The present feature code gives a model other features or scores than it had at its training."""
