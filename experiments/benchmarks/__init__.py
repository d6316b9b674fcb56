"""Measurements of speed, each next to a reference in the same run."""
