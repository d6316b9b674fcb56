"""The study `divergence_landscape`."""
