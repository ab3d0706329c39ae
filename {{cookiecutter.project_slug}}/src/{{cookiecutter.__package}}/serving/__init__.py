"""Predictions over HTTP: what answers a request, and the app of the web framework in front of it."""
