"""Made-up hotel bookings: two dates, free text, 130 countries, customers that return, 13% cancelled.

What tells a cancellation: lead time, month, weekday, what the comment says, the country, and the customer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

CUSTOMERS, COUNTRIES = 11_000, 130
FIRST_DAY = date(2023, 1, 1)

COMMENTS = {
    -1: [
        "celebrating our anniversary, please prepare flowers",
        "we come every year and look forward to it",
        "honeymoon, champagne on arrival would be lovely",
        "visiting family nearby",
        "conference next door, invoice to the company",
        "same room as last year please",
        "baby cot needed",
        "early check in if possible",
    ],
    0: [
        "quiet room please",
        "high floor",
        "late arrival after ten",
        "vegetarian breakfast",
        "need parking for one car",
        "two single beds",
        "no feather pillows",
        "extra towels please",
        "near the lift",
        "away from the lift",
        "allergic to nuts",
        "sea view if there is one",
        "travelling with a dog",
    ],
    1: [
        "dates may change, flexible booking",
        "comparing with other hotels",
        "waiting for visa approval",
        "tentative plan, not sure yet",
        "will confirm later",
        "depends on the flight price",
        "keeping several options open",
        "maybe only one night",
    ],
}
"""What guests write, by how it moves the odds of a cancellation."""


def make_bookings(rows: int = 20_000, seed: int = 9) -> pd.DataFrame:
    """Return bookings, the same for the same seed."""
    random = np.random.default_rng(seed)
    letters = [chr(65 + first) + chr(65 + second) for first in range(26) for second in range(26)]
    countries = np.array(sorted(random.choice(letters, COUNTRIES, replace=False)))
    shares = 1 / np.arange(1, COUNTRIES + 1) ** 0.9
    home = random.permutation(COUNTRIES)[random.choice(COUNTRIES, CUSTOMERS, p=shares / shares.sum())]
    country_effect, tendency = random.normal(0, 0.8, COUNTRIES), random.normal(0, 0.7, CUSTOMERS)
    activity = random.gamma(1.2, 1, CUSTOMERS) + 0.15
    customer = random.choice(CUSTOMERS, rows, p=activity / activity.sum())
    arrival = [FIRST_DAY + timedelta(days=int(day)) for day in random.integers(0, 730, rows)]
    lead = np.minimum(random.gamma(1.1, 45, rows).astype(int), 420)
    hour = np.clip(random.normal(15, 5, rows), 0, 23.99)
    booked = [
        datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=-int(ahead), hours=float(time))
        for day, ahead, time in zip(arrival, lead, hour, strict=True)
    ]
    month, weekday = np.array([day.month for day in arrival]), np.array([day.weekday() for day in arrival])
    channel = random.choice(
        ["web", "agency", "phone", "corporate", "walk-in"], rows, p=[0.5, 0.27, 0.12, 0.1, 0.01]
    )
    room = random.choice(["single", "double", "twin", "family", "suite"], rows, p=[0.2, 0.5, 0.15, 0.1, 0.05])
    dear = 1 + 0.5 * (room == "suite") + 0.2 * np.isin(month, [7, 8, 12])
    price = np.round(np.exp(random.normal(4.7, 0.25, rows)) * dear, 2)
    deposit, parking, breakfast = (random.random(rows) < share for share in (0.3, 0.25, 0.55))
    stays, mood = random.poisson(0.6, rows), random.choice([-1, 0, 1], rows, p=[0.18, 0.62, 0.2])
    odds = -4.85 + 0.55 * np.log1p(lead) + 0.5 * np.isin(month, [7, 8]) - 0.4 * np.isin(month, [1, 2])
    odds += 0.45 * (weekday >= 4) + 1.05 * mood + country_effect[home[customer]] + tendency[customer]
    odds += 0.5 * (channel == "agency") - 0.6 * (channel == "corporate") - 1.1 * deposit + 0.4 * (price > 150)
    odds += 0.1 * stays - 0.25 * parking + 0.5 * ((hour < 6) | (hour > 22))
    table = pd.DataFrame(
        {
            "booking_id": [f"B{number:07d}" for number in random.permutation(rows) + 400_000],
            "customer_id": customer + 100_001,
            "booked_at": [moment.strftime("%Y-%m-%d %H:%M:%S") for moment in booked],
            "arrival_date": [day.isoformat() for day in arrival],
            "nights": 1 + random.poisson(2.2, rows),
            "adults": random.choice([1, 2, 3, 4], rows, p=[0.25, 0.58, 0.12, 0.05]),
            "country": countries[home[customer]],
            "channel": channel,
            "room_type": room,
            "price_per_night": price,
            "deposit_paid": np.where(deposit, "yes", "no"),
            "parking": np.where(parking, "yes", "no"),
            "breakfast": np.where(breakfast, "yes", "no"),
            "previous_stays": pd.array(stays, dtype="Int64"),
            "comment": [write_comment(each, random) for each in mood],
            "currency": "EUR",
            "cancelled": np.where(random.random(rows) < 1 / (1 + np.exp(-odds)), "yes", "no"),
        }
    )
    for name, share in {
        "price_per_night": 0.04,
        "country": 0.02,
        "previous_stays": 0.07,
        "channel": 0.01,
    }.items():
        table.loc[random.random(rows) < share, name] = None
    return table


def write_comment(mood: int, random: np.random.Generator) -> str | None:
    """Return what a guest wrote, with the typing errors that guests make."""
    if mood == 0 and random.random() < 0.25:
        return None
    parts = [str(part) for part in random.choice(COMMENTS[0], random.integers(1, 3), replace=False)]
    if mood:
        parts.insert(int(random.integers(len(parts) + 1)), str(random.choice(COMMENTS[mood])))
    text = str(random.choice(["; ", ", ", ". ", " and "])).join(parts)
    text = text.capitalize() if random.random() < 0.5 else text
    if random.random() < 0.12:
        place = int(random.integers(1, len(text) - 2))
        text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    return text
