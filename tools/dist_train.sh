#!/usr/bin/env bash
# Train in several processes of this machine, one a GPU: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 2p "$0" | cut -c3- >&2
    exit 2
fi
. "$(dirname "$0")/_dist.sh"
launch "$2" "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
