#!/usr/bin/env bash
# The one entry point: sets up a virtual environment from constraints.txt, then runs a command in it. See usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
gan_jax: which GAN loss, and why did this one stop learning?

  ./launch.sh                          set up, then the main job: configs/compare_losses.py
  ./launch.sh test [PYTEST ARGS]       set up, then the whole test suite
  ./launch.sh train CONFIG [--config.field=value ...] [--out DIR]    one run
  ./launch.sh sweep CONFIG [--config.field=value ...] [--out DIR]    a study; the same command again resumes it
  ./launch.sh report DIR [--json]      tables and report.html again, from the files alone
  ./launch.sh export DIR --format=csv|jsonl|tensorboard [--out PATH]
  ./launch.sh losses [NAME]            every loss on one line, or one loss in full
  ./launch.sh dirac                    every loss, penalty and method on the Dirac-GAN, beside its theory
  ./launch.sh divergence_landscape     every loss at its optimal discriminator, as the fakes move away from the data
  ./launch.sh mode_collapse [--full]   packing, unrolling, relativistic and R1 + R2 on the ring and the grid of PacGAN
  ./launch.sh dominance [--full]       how strong a discriminator each loss can stand: a phase diagram from one sweep
  ./launch.sh matched_gain             how much of "this loss is better" was a learning rate
  ./launch.sh paths_to_equilibrium     minimax and non-saturating where no divergence has a gradient, with penalties
  ./launch.sh frozen_generator [--full]  a fresh discriminator against a still generator: whose gradient dies, whose explodes
  ./launch.sh lipschitz [--full]       with an ever flatter critic, do the losses become one?
  ./launch.sh verdicts                 is the verdict right about runs built to end in each of its states
  ./launch.sh mnist_dcgan --config.data_dir=DIR   handwritten digits by a DCGAN: both halves of the old quarrel, and a picture
  ./launch.sh benchmark_penalties      what each penalty costs beside none
  ./launch.sh benchmark_population     our throughput beside PyTorch (GAN_JAX_EXTRA=benchmark)
  ./launch.sh check                    lint, format, types
  ./launch.sh help                     this text

Configs are in configs/; every field of a run is in gan_jax/settings.py.
Environment: GAN_JAX_PYTHON (default: the first of python3, python3.13, python3.12, python3.11 that is recent enough),
GAN_JAX_VENV (default: .venv beside this file), GAN_JAX_EXTRA (cuda12, cuda13, tpu, benchmark; several by comma).
TEXT
}

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
command="${1:-sweep}"
case "$command" in
  help | -h | --help) usage; exit 0 ;;
  test | check) ;;
  *)
    # Every script of experiments/ is a command, so that a new study needs no line here.
    if ! [[ "$command" =~ ^[a-z_]+$ && -f "$here/experiments/$command.py" ]]; then
      known="$(cd "$here/experiments" && ls ./*.py | sed 's|^./||; s|\.py$||' | grep -vxE '__init__|command' | tr '\n' ' ')"
      echo "error: unknown command '$command'; known: check help test ${known% }" >&2
      exit 2
    fi
    ;;
esac
if [ $# -eq 0 ]; then set -- sweep "$here/configs/compare_losses.py"; fi
shift

python_command() {
  local candidate
  for candidate in ${GAN_JAX_PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: expected Python >= 3.11 with venv and pip, found none; name one with GAN_JAX_PYTHON" >&2
  exit 2
}

venv="${GAN_JAX_VENV:-$here/.venv}"
extras="dev${GAN_JAX_EXTRA:+,$GAN_JAX_EXTRA}"
# What was installed: when any of it changes, install again. Otherwise a second start costs nothing.
stamp="$extras $(cat "$here/pyproject.toml" "$here/constraints.txt" | cksum) $here"
if [ "$(cat "$venv/.gan_jax" 2>/dev/null)" != "$stamp" ]; then
  echo "setting up $venv (once) ..." >&2
  python="$(python_command)"
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$here/constraints.txt" --editable "$here[$extras]"
  echo "$stamp" >"$venv/.gan_jax"
fi

export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
python="$venv/bin/python"
case "$command" in
  # One file per worker: a file's fixtures are trained once.
  test) cd "$here" && exec "$python" -m pytest -n auto --dist loadfile "$@" ;;
  check)
    cd "$here"
    "$python" -m ruff check .
    "$python" -m ruff format --check .
    exec "$python" -m mypy
    ;;
  *) exec "$python" -m "experiments.$command" "$@" ;;
esac
