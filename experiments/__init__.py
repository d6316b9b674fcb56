"""One thin script per command or study; `launch.sh` runs them."""
