"""The study `mode_collapse`."""
