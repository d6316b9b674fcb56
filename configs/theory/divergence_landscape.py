"""Every loss at its optimal discriminator, as a Gaussian moves away from the data: which saturate, which explode.

    ./launch.sh divergence_landscape                        # fields of this file; nothing is trained
    ./launch.sh divergence_landscape --config.losses=minimax,non_saturating --config.distances=1,2,4 --out runs/short
    ./launch.sh losses minimax                              # the formula behind a name

Reads configs/theory/divergence_landscape.py; about half a minute on 2 cores; writes runs/divergence_landscape/:
table.md, table.csv, landscape.svg. Expected: `minimax` saturates like e^(-distance^2 / 8), `non_saturating` grows like
the distance, `wasserstein` stays at 1, the margin losses have no slope at all, and the f-GANs of chi-squared explode.
"""


def get_config():
  return {
    "losses": [],  # names; none: every registered loss
    "distances": [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.0, 6.0, 7.0, 8.0],  # of N(mu, 1) from N(0, 1)
  }
