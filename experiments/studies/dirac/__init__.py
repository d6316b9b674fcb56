"""The study `dirac`."""
