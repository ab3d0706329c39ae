"""Predictions over HTTP: one service, and an adapter of it for the web framework."""
