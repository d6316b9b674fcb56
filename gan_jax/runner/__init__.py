"""Many runs as one program, trained chunk by chunk, kept on disk and resumed."""
