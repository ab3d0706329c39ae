"""From somebody's table to a project that trains on it: the command `adopt`."""
