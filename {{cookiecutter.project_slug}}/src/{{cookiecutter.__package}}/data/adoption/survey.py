"""What is in each column of a table, found in one pass that keeps little in memory."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...config import SourceSettings
from ...terminal import track
from ..loading import ROW_NUMBER
from ..validation import parse_number

DISTINCT_VALUES = 300
"""The most values of a column that are counted one by one."""
SAMPLE_ROWS = 20_000

_BATCH_ROWS = 100_000
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

    @property
    def estimate(self) -> int:
        """The number of different values."""
        if len(self.hashes) < _SKETCH_HASHES:
            return len(self.hashes)
        return round((_SKETCH_HASHES - 1) * _HASH_SPACE / float(self.hashes[-1]))


@dataclass
class ColumnFacts:
    """Counts over all rows of a column; `values` is None where there are too many to count."""

    rows: int = 0
    missing: int = 0
    numbers: int = 0
    integers: int = 0
    leading_zeros: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    values: Counter[str] | None = field(default_factory=Counter)
    other_words: Counter[str] | None = field(default_factory=Counter)
    distinct: DistinctCount = field(default_factory=DistinctCount)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    def forget(self, word: str) -> None:
        """Count a word as missing from now on."""
        counted = self.values if self.values is not None else self.other_words
        if counted and word in counted:
            self.missing += counted[word]
            for counter in (self.values, self.other_words):
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
    blank: int = 0


def survey_table(raw: pl.LazyFrame, names: list[str], source: SourceSettings) -> Survey:
    """Look at every row once."""
    facts = {name: ColumnFacts() for name in names}
    whole_rows = DistinctCount()
    rows = blank = 0
    sample: list[pl.DataFrame] = []
    share = 1.0
    batches = raw.drop(ROW_NUMBER).collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
    for number, found in enumerate(track(batches, "Looking at columns")):
        batch = found.filter(~pl.all_horizontal(pl.all().is_null()))
        rows += batch.height
        blank += found.height - batch.height
        whole_rows.add(batch.to_struct())
        for name in names:
            _look_at(facts[name], batch[name], source)
        sample.append(batch.sample(fraction=share, seed=number) if share < 1 else batch)
        while sum(frame.height for frame in sample) > 2 * SAMPLE_ROWS:
            sample = [pl.concat(sample).sample(fraction=0.5, seed=number)]
            share /= 2
    repeated = max(rows - whole_rows.estimate, 0)
    drawn = pl.concat(sample) if sample else pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return Survey(rows, facts, repeated, drawn, blank)


def _look_at(facts: ColumnFacts, series: pl.Series, source: SourceSettings) -> None:
    present = series.drop_nulls()
    facts.rows += series.len()
    facts.missing += series.len() - present.len()
    if not present.len():
        return
    facts.distinct.add(present)
    text = pl.col("text")
    frame = pl.DataFrame({"text": present}).with_columns(
        number=parse_number(text, source.decimal_comma, source.thousands)
    )
    number = pl.col("number")
    counts = frame.select(
        numbers=number.count(),
        integers=(number == number.round()).sum(),
        leading_zeros=text.str.contains(r"^[-+]?0\d").sum(),
        minimum=number.min(),
        maximum=number.max(),
    ).row(0, named=True)
    for name in ("numbers", "integers", "leading_zeros"):
        setattr(facts, name, getattr(facts, name) + counts[name])
    if counts["numbers"]:
        facts.minimum = min(facts.minimum, counts["minimum"])
        facts.maximum = max(facts.maximum, counts["maximum"])
    facts.values = _count_values(facts.values, present)
    facts.other_words = _count_values(facts.other_words, frame.filter(number.is_null())["text"])


def _count_values(known: Counter[str] | None, values: pl.Series) -> Counter[str] | None:
    if known is None or not values.len():
        return known
    # A glance at the start spares counting columns whose values all differ.
    if values.head(10 * DISTINCT_VALUES).n_unique() > DISTINCT_VALUES:
        return None
    counts = values.value_counts()
    if counts.height > DISTINCT_VALUES:
        return None
    known.update(dict(counts.iter_rows()))
    return known if len(known) <= DISTINCT_VALUES else None
