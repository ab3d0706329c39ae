"""Tests of the project; they pass before and after any training, on any table."""
