"""The study `tournament`: losses that are tuned with the same budget."""
