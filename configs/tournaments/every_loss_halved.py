"""Every registered loss, each tuned sixteen times over with four draws, by successive halving.

    ./launch.sh tournament --full --halving     # or: ./launch.sh sweep configs/tournaments/every_loss_halved.py

The 64 draws of configs/tournaments/every_loss.py, each with two runs, of which one chooses and the other only judges. Each
loss's draws are dealt out to sixteen searches of four. At step 100 the better half of each search's draws goes on, and at
step 300 the better one of those: 63 % of the steps are saved. Trained for 1,000 steps, as in configs/tournament.py, of
whose runs the first sixteen draws of its losses are. Its 7,424 runs are four programs, each of which needs 8 GB of memory.
"""

import runpy
from pathlib import Path

whole = runpy.run_path(str(Path(__file__).parent / "every_loss.py"))
roles = whole["roles"]


def get_config():
  return whole["get_config"]() | {"steps": 1000, "evaluate_every": 100, "most_members": 1856}


def sweep(s):
  return s.product(s.param("loss", s.every("loss")), whole["draws"](s, runs=2))


def halving():
  return {"at": [100, 300], "keep": 0.5, "searches": 16, "judges": 1}
