"""From raw files to checked, split rows."""
