"""Helpers that know nothing of the data or the model."""
