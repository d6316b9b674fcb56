"""Trains many runs as one program, chunk by chunk; writes them to disk and resumes them."""
