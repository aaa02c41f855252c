#!/usr/bin/env bash
# Train on a Slurm cluster: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# GPUS (default 8) processes, GPUS_PER_NODE (8) of them a machine, with CPUS_PER_TASK (5) cores each; SRUN_ARGS goes to srun.
set -euo pipefail
if [ $# -lt 4 ]; then
    sed -n 2,3p "$0" | cut -c3- >&2
    exit 2
fi
GPUS=${GPUS:-8} GPUS_PER_NODE=${GPUS_PER_NODE:-8}
PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" exec srun --partition="$1" --job-name="$2" \
    --gres="gpu:$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$((GPUS < GPUS_PER_NODE ? GPUS : GPUS_PER_NODE))" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
