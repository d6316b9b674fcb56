"""The study `frozen_generator`."""
