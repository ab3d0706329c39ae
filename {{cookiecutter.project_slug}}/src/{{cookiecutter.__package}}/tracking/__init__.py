"""Runs: what was tried, with which settings, and what came of it."""
