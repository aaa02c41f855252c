#!/usr/bin/env bash
# Writes the locks from setup.cfg; called by `make lock`. lock.txt is the stack that `make venv` installs, openmmlab.txt
# the one of `make venv-openmmlab`. Versions that a lock already holds are kept, unless `--upgrade` or
# `--upgrade-package NAME` says otherwise; what both stacks need is of one version in both.
#
# What torch itself pulls for CUDA is left out: a CPU build of torch needs none of it, and pip finds it otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# write_lock LOCK KEPT TITLE ARGUMENT...: resolve what the arguments name, keeping the versions of the lock KEPT.
write_lock() {
    local lock=$1 kept=$2 title=$3 resolved=$scratch/resolved.txt
    cp "$kept" "$resolved"
    "$scratch/venv/bin/uv" pip compile --quiet --config-file requirements/uv.toml --universal --python-version 3.10 \
        --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra dev --extra fast "${@:4}" \
        setup.cfg requirements/build.in --output-file "$resolved"
    {
        echo "# Everything that \`$title\` installs, for Python 3.10 to 3.13. Written by \`make lock\` from setup.cfg and"
        echo '# requirements/*.in; do not edit. The CUDA packages that torch may bring are left to pip.'
        grep -vE '^(nvidia|cuda|triton)[-a-z0-9]*==' "$resolved"
    } >"$lock.new"
    mv "$lock.new" "$lock"
    echo "Wrote $lock: $(grep -c '==' "$lock") pins"
}

"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet uv
write_lock requirements/lock.txt requirements/lock.txt 'make venv' --extra mm "$@"
write_lock requirements/openmmlab.txt requirements/lock.txt 'make venv-openmmlab' requirements/openmmlab.in
