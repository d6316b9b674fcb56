"""A study trained by several processes, one for each of its groups, wherever an engine starts them. No jax import."""
