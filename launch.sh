#!/usr/bin/env bash
# Sets up a virtual environment from constraints.txt, then calls the command `gan-jax` in it, or tests and linters.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# A script below experiments/ is a command if its first line says so: """`launch.sh NAME ARGUMENTS`: what it does. So a
# new study needs no line here, and a module that others import is no command. Prints FILE, a tab, and that line's text.
scripts() {
  (cd "$here" && awk 'FNR == 1 && /^"""`launch\.sh [a-z_]+/ {
    sub(/^"""`launch\.sh /, ""); sub(/"""$/, ""); print FILENAME "\t" $0
  }' experiments/*.py experiments/studies/*/study.py experiments/benchmarks/*.py)
}

usage() {
  cat <<'TEXT'
gan_jax: which GAN loss, and why did this one stop learning?

  ./launch.sh
      set up, then the main job: configs/compare_losses.py
  ./launch.sh test [PYTEST ARGUMENTS]
      set up, then the whole test suite
  ./launch.sh check
      lint, format, types
  ./launch.sh help
      this text
TEXT
  scripts | cut -f2 | sort | awk '{ at = index($0, "`: "); print "  ./launch.sh " substr($0, 1, at - 1) "\n      " substr($0, at + 3) }'
  cat <<'TEXT'

Configs are in configs/; every field of a run is in gan_jax/settings/fields.py.
Environment: GAN_JAX_PYTHON (default: the first of python3, python3.13, python3.12, python3.11 that is recent enough),
GAN_JAX_VENV (default: .venv beside this file), GAN_JAX_EXTRA (cuda12, cuda13, tpu, features, wandb, ray, slurm, benchmark; several by comma).
One study on several machines: GAN_JAX_COORDINATOR, GAN_JAX_PROCESSES, GAN_JAX_PROCESS (gan_jax/runner/README.md).
TEXT
}

command="${1-sweep}"
case "$command" in
  help | -h | --help) usage; exit 0 ;;
  test | check) ;;
  *)
    known="$(scripts | cut -f2 | sed 's/[^a-z_].*//' | sort)"
    if [[ "$command" == *$'\n'* ]] || ! grep -qxF -- "$command" <<<"$known"; then
      echo "error: unknown command '${command//[^[:print:]]/?}'; known: check help test $(echo $known)" >&2
      exit 2
    fi
    ;;
esac
if [ $# -gt 0 ]; then shift; else set -- "$here/configs/compare_losses.py"; fi

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
  # pip says nothing while it works, and a person should not wonder.
  (while sleep 8 </dev/null >/dev/null 2>&1; do echo "still setting up $venv ..." >&2; done) &
  waiting=$!
  trap 'kill "$waiting" 2>/dev/null' EXIT
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$here/constraints.txt" --editable "$here[$extras]"
  kill "$waiting"
  trap - EXIT
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
  *)
    export GAN_JAX_TYPED="$0" # for the usage that a command prints
    exec "$venv/bin/gan-jax" "$command" "$@"
    ;;
esac
