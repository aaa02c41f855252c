# Sourced by dist_train.sh and dist_test.sh: `launch GPUS SCRIPT ARGUMENTS...` starts GPUS processes on this machine.
#
# One machine: nothing else is needed, and a free port is found. Several: NNODES, NODE_RANK (from 0) and MASTER_ADDR on
# each, and PORT if 29500 is taken. MAX_RESTARTS has torchrun start again that many times after a process failed; of
# several machines, one that was lost may then come back (the same command), and NNODES=2:4 goes on with what is there.
launch() {
    local gpus=$1 script=$2 nodes=${NNODES:-1} place="${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}"
    shift 2
    # torchrun passes these signals on; by itself it would die of SIGUSR1, and leave the processes behind.
    export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}
    local meeting=(--rdzv-backend=c10d --rdzv-endpoint=localhost:0)
    if [ "$nodes" != 1 ] && { [ "${MAX_RESTARTS:-0}" -gt 0 ] || [[ $nodes == *:* ]]; }; then
        # An agent that comes back does not find the store that torch shares between the agents and the processes.
        export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
        meeting=(--rdzv-backend=c10d --rdzv-endpoint="$place" --rdzv-id="${RDZV_ID:-deeplake-mmdet}")
        meeting+=(--rdzv-conf="is_host=$((${NODE_RANK:-0} == 0))${RDZV_CONF:+,$RDZV_CONF}")
    elif [ -n "${PORT:-}" ] || [ "$nodes" != 1 ]; then
        meeting=(--node-rank="${NODE_RANK:-0}" --master-addr="${place%:*}" --master-port="${place##*:}")
    fi
    PYTHONPATH="$(dirname "$script")/..:${PYTHONPATH:-}" exec "${PYTHON:-python}" -m torch.distributed.run \
        --nnodes="$nodes" --nproc-per-node="$gpus" --max-restarts="${MAX_RESTARTS:-0}" "${meeting[@]}" \
        ${LOCAL_ADDR:+--local-addr="$LOCAL_ADDR"} "$script" "$@"
}
