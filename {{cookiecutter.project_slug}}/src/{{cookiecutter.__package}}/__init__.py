"""From a raw table to predictions: one command a stage, see `cli.py`."""
