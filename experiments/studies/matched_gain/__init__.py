"""The study `matched_gain`."""
