"""What every part stands on: records, checks, errors, norms of trees, and keys from (seed, step)."""
