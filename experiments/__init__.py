"""Thin scripts, one a command or a study; `launch.sh` runs them."""
