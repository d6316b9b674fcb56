"""The study `verdicts`."""
