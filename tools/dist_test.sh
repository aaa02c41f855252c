#!/usr/bin/env bash
# Evaluate in several processes, one a GPU: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
. "$(dirname "$0")/_dist.sh"
launch "$3" "$(dirname "$0")/test.py" "$1" "$2" --launcher pytorch "${@:4}"
