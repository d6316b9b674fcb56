"""The study `coverage`."""
