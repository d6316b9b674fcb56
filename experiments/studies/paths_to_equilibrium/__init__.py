"""The study `paths_to_equilibrium`."""
