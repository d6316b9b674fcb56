"""One folder a study: its script `study.py`, and `figure.py` where its picture is its own."""
