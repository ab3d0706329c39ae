"""What is in each column of a table, found in one pass that keeps little in memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...config import SourceSettings
from ...terminal import track
from ..loading import ROW_NUMBER
from ..validation import parse_number

SAMPLE_ROWS = 20_000

_MOST_COUNTED = 300
_NUMERIC_SHARE = 0.98
_BATCH_CELLS = 2_000_000
_SKETCH_HASHES = 16_384
_HASH_SPACE = float(1 << 64)


@dataclass
class DistinctCount:
    """How many different values there are: exact up to 16,384, then within about 1 %.

    Keeps the smallest hashes: the k-th of n evenly spread ones lies at k/n (Bar-Yossef et al., 2002).
    """

    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def add(self, values: pl.Series) -> None:
        """Take more values in."""
        new = values.hash(seed=1).to_numpy()
        if len(self.hashes) == _SKETCH_HASHES:
            new = new[new < self.hashes[-1]]
        self.hashes = np.unique(np.concatenate([self.hashes, new]))[:_SKETCH_HASHES]

    def estimate(self, most: int) -> int:
        """The number of different values, of which there are no more than `most`."""
        found = len(self.hashes)
        if found == _SKETCH_HASHES:
            found = round((_SKETCH_HASHES - 1) * _HASH_SPACE / float(self.hashes[-1]))
        return min(found, most)


@dataclass
class ColumnFacts:
    """Counts over all rows of a column.

    `values` counts each value, `words` each that is no number; None where there are more than 300 of them.
    """

    rows: int = 0
    missing: int = 0
    numbers: int = 0
    integers: int = 0
    leading_zeros: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    values: Counter[str] | None = field(default_factory=Counter)
    words: Counter[str] | None = field(default_factory=Counter)
    distinct: DistinctCount = field(default_factory=DistinctCount)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def different(self) -> int:
        """How many different values there are, about."""
        return len(self.values) if self.values is not None else self.distinct.estimate(self.present)

    @property
    def has_numbers(self) -> bool:
        """Whether nearly all values are numbers, if only by their digits."""
        return self.numbers >= _NUMERIC_SHARE * self.present

    @property
    def is_numeric(self) -> bool:
        """Whether nearly all values are numbers, and none is a code such as 0815."""
        return self.has_numbers and not self.leading_zeros

    @property
    def is_whole(self) -> bool:
        """Whether each number is an integer."""
        return self.integers == self.numbers

    def forget(self, word: str) -> None:
        """Count a word as missing from now on."""
        self.missing += self.words[word] if self.words else 0
        for counter in (self.values, self.words):
            if counter is not None:
                counter.pop(word, None)


@dataclass(frozen=True)
class Survey:
    """All columns of a table, how many rows repeat another, and a random sample of rows as strings.

    `blank` rows, in which nothing stands, are in none of these.
    """

    rows: int
    columns: dict[str, ColumnFacts]
    repeated: int
    sample: pl.DataFrame
    blank: int


def survey_table(raw: pl.LazyFrame, names: list[str], source: SourceSettings) -> Survey:
    """Look at every row once."""
    facts = {name: ColumnFacts() for name in names}
    whole_rows = DistinctCount()
    rows = blank = 0
    sample = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
    share = 1.0
    for number, found in enumerate(track(_read_batches(raw, len(names)), "Looking at columns")):
        batch = found.filter(~pl.all_horizontal(pl.all().is_null()))
        rows += batch.height
        blank += found.height - batch.height
        whole_rows.add(batch.to_struct())
        _look_at(facts, batch, source)
        sample.append(batch.sample(fraction=share, seed=number) if share < 1 else batch)
        while sum(frame.height for frame in sample) > 2 * SAMPLE_ROWS:
            sample = [pl.concat(sample).sample(fraction=0.5, seed=number)]
            share /= 2
    return Survey(rows, facts, rows - whole_rows.estimate(rows), pl.concat(sample), blank)


def _read_batches(raw: pl.LazyFrame, columns: int) -> Iterator[pl.DataFrame]:
    # The engine's own batches are of so many rows, and fill gigabytes where the table is wide.
    size = max(1, _BATCH_CELLS // columns)
    return raw.drop(ROW_NUMBER).collect_batches(chunk_size=size, maintain_order=True, engine="streaming")


def _look_at(facts: dict[str, ColumnFacts], batch: pl.DataFrame, source: SourceSettings) -> None:
    # All columns at once: a call for each would dominate where there are thousands.
    numbers = batch.select(parse_number(pl.col(name), source.decimal_comma, source.thousands) for name in facts)
    missing, known, low, high = (
        frame.row(0) for frame in (batch.null_count(), numbers.count(), numbers.min(), numbers.max())
    )
    integers = numbers.select((pl.col(name) == pl.col(name).round()).sum() for name in facts).row(0)
    zeros = batch.select(pl.col(name).str.contains(r"^[-+]?0\d").sum() for name in facts).row(0)
    for place, (name, column) in enumerate(facts.items()):
        column.rows += batch.height
        column.missing += missing[place]
        column.numbers += known[place]
        column.integers += integers[place]
        column.leading_zeros += zeros[place]
        if known[place]:
            column.minimum, column.maximum = min(column.minimum, low[place]), max(column.maximum, high[place])
        present = batch[name].drop_nulls()
        column.distinct.add(present)
        column.values = _count_values(column.values, present)
        if known[place] < len(present):
            column.words = _count_values(column.words, batch[name].filter(numbers[name].is_null()).drop_nulls())


def _count_values(known: Counter[str] | None, values: pl.Series) -> Counter[str] | None:
    # A glance at the start spares counting columns whose values all differ.
    if known is None or values.head(10 * _MOST_COUNTED).n_unique() > _MOST_COUNTED:
        return None
    known.update(dict(values.value_counts().iter_rows()))
    return known if len(known) <= _MOST_COUNTED else None
