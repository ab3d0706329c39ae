"""The data profile: a sample of the raw rows, its statistics, what is suspicious in it, and a page."""
