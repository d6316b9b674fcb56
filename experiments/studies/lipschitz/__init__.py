"""The study `lipschitz`."""
