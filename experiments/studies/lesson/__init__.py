"""The study `lesson`."""
