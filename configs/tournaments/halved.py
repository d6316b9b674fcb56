"""The tournament with successive halving: of each loss's sixteen draws four are trained to the end.

    ./launch.sh tournament --halving        # or: ./launch.sh sweep configs/tournaments/halved.py

The losses, draws and seeds of configs/tournament.py. Each loss's draws are dealt out to four searches of four draws. At
step 200 the better half of each search's draws goes on, and at step 400 the better one of those: 55 % of the steps are
saved. One run of each draw chooses; the other only judges what its draw is worth.
"""

import runpy
from pathlib import Path

whole = runpy.run_path(str(Path(__file__).parents[1] / "tournament.py"))
sweep, roles = whole["sweep"], whole["roles"]


def get_config():
  return whole["get_config"]() | {"evaluate_every": 200}


def halving():
  return {"at": [200, 400], "keep": 0.5, "searches": 4, "judges": 1}
