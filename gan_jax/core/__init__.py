"""Shared by all other packages: records, checks, errors, norms of trees, and keys from (seed, step)."""
