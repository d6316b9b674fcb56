"""The study `dominance`."""
