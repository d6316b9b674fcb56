"""Measurements of the game at a run's current state: local geometry and the duality gap."""
