# Sourced by dist_train.sh and dist_test.sh: `launch GPUS SCRIPT ARGUMENTS...` starts GPUS processes on this machine.
#
# One machine: nothing else is needed, and a free port is found. Several: NNODES, NODE_RANK (from 0) and MASTER_ADDR on
# each, and PORT if 29500 is taken. MAX_RESTARTS has torchrun start again that many times after a process failed.
launch() {
    local gpus=$1 script=$2
    shift 2
    local meeting=(--rdzv-backend=c10d --rdzv-endpoint=localhost:0)
    if [ -n "${PORT:-}" ] || [ "${NNODES:-1}" -gt 1 ]; then
        meeting=(--node-rank="${NODE_RANK:-0}" --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}")
    fi
    PYTHONPATH="$(dirname "$script")/..:${PYTHONPATH:-}" exec "${PYTHON:-python}" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" --nproc-per-node="$gpus" --max-restarts="${MAX_RESTARTS:-0}" "${meeting[@]}" \
        "$script" "$@"
}
