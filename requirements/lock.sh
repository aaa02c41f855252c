#!/usr/bin/env bash
# Writes requirements/lock.txt from setup.cfg; called by `make lock`. Versions that the lock already holds are kept,
# unless `--upgrade` or `--upgrade-package NAME` says otherwise.
#
# What torch itself pulls for CUDA is left out: a CPU build of torch needs none of it, and pip finds it otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=requirements/lock.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet uv
cp "$lock" "$scratch/resolved.txt"
"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --extra mm --extra dev "$@" \
    setup.cfg requirements/build.in --output-file "$scratch/resolved.txt"
{
    echo '# Everything that `make venv` installs, for Python 3.10 to 3.13. Written by `make lock` from setup.cfg (extras mm'
    echo '# and dev) and requirements/build.in; do not edit. The CUDA packages that torch may bring are left to pip.'
    grep -vE '^(nvidia|cuda|triton)[-a-z0-9]*==' "$scratch/resolved.txt"
} >"$lock.new"
mv "$lock.new" "$lock"
echo "Wrote $lock: $(grep -c '==' "$lock") pins"
