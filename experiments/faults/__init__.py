"""What `selftest` does to a study, and how it judges what became of it. No jax: every study is a process of its own."""
