"""Training, evaluation, export, versions and prediction."""
