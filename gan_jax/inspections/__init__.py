"""What is measured of the game where a run stands: local geometry and the duality gap."""
