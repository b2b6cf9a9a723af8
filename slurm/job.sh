# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with the script that sources this
# Sourced by run_dpc.sh and run_dpc_gabors.sh: what a site sets, and how a run is started in a job,
# stopped by a signal, and put back into the queue. They set `script`, their name, and `flags`.

# ---- what a site sets: here, or in the environment that sbatch is called in
: "${SETUP:=}"                           # a command run first, such as ". .venv/bin/activate"
: "${PYTHON:=python3}"                   # found after SETUP, on every node
: "${OUTPUT_DIR:=output_dir}"            # the run folders' parent, on a disk that all nodes share
: "${DATA_PATH_DIR:=process_data/data}"  # the split files
: "${TEMP_DATA_DIR:=}"                   # on a node's own disk: where frames are read from, if set
: "${FRAMES_DIR:=}"                      # holds {dataset}/frames…: copied to TEMP_DATA_DIR first, if set
: "${COPY_FLAGS:=}"                      # of that copy: "-b" for --img_dim above 140, "-e left"
: "${K400_WEIGHTS:=weights/k400_128_r18_dpc-rnn.pth.tar}"          # published or own
: "${MOUSESIM_WEIGHTS:=weights/mousesim_128_r18_dpc-rnn.pth.tar}"  # own
: "${MAX_REQUEUES:=100}"                 # after so many a stopped job ends with status 75

in_job=${SLURM_JOB_ID:-}
task=${SLURM_ARRAY_TASK_ID:-0}
stops=0 # signals received
child='' # the step that is running

complain() { echo "$script: $*" >&2; }

die() {
    complain "$*"
    exit 2
}

# Slurm sends SIGUSR1 to this shell alone, see --signal; srun passes it on to all tasks. SIGTERM
# reaches the tasks by itself. A second signal does nothing there.
stop() {
    stops=$((stops + 1))
    [[ -n $child ]] || return 0
    # twice, because an srun that is just starting loses it
    { kill -USR1 "$child"; sleep 5; kill -USR1 "$child"; } &>/dev/null &
}
[[ -z $in_job ]] || trap stop USR1 TERM INT

set_up() {
    if [[ -n $SETUP ]]; then
        set +eu # activation scripts are seldom written for it
        eval "$SETUP" || die "SETUP failed: $SETUP"
        set -eu
    fi
    [[ -n $in_job ]] || return 0
    read -r MASTER_ADDR < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
    MASTER_PORT=$((12000 + SLURM_JOB_ID % 20000)) # below the ports that systems give out themselves
    export MASTER_ADDR MASTER_PORT
}

# step [SRUN_OPTION...] -- COMMAND...: in a job on its nodes, else here. Returns its status.
step() {
    local options=()
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    if [[ -z $in_job ]]; then
        "$@"
        return
    fi
    # srun does not take --cpus-per-task from the job any more (from Slurm 22.05 on)
    [[ -z ${SLURM_CPUS_PER_TASK:-} ]] || options+=(--cpus-per-task="$SLURM_CPUS_PER_TASK")
    # in the background, because bash runs no trap while it waits for a command in the foreground
    srun --kill-on-bad-exit=1 "${options[@]}" "$@" &
    child=$!
    ((stops == 0)) || stop # one that came before `child` was known
    local before status
    while true; do
        before=$stops status=0
        wait "$child" || status=$?
        ((stops != before)) || break # else a signal ended the wait, not the step
    done
    child=''
    return "$status"
}

# start_from VARIABLE: of the weights.
start_from() {
    [[ -f ${!1} ]] || die "${!1}: no such file of weights; set $1"
    flags+=(--pretrained "${!1}")
}

# run_model FLAGS...: one run, from where it stands to its end.
run_model() {
    local own=(--output_dir "$OUTPUT_DIR" --resume auto)
    [[ -z ${SLURM_CPUS_PER_TASK:-} ]] || own+=(--num_workers "$((SLURM_CPUS_PER_TASK - 1))")
    run_to_the_end -- "$PYTHON" run_model.py "${own[@]}" "$@"
}

# copy_frames DATASET: to the own disk of each of the job's nodes.
copy_frames() {
    [[ -n $FRAMES_DIR ]] || return 0
    [[ -n $TEMP_DATA_DIR ]] || die "FRAMES_DIR is set: set TEMP_DATA_DIR too, where the frames go"
    local flags
    read -ra flags <<<"$COPY_FLAGS"
    run_to_the_end --ntasks="${SLURM_JOB_NUM_NODES:-1}" --ntasks-per-node=1 -- \
        bash slurm/copy_frame_tars.sh -s "$FRAMES_DIR" -t "$TEMP_DATA_DIR" -d "$1" "${flags[@]}"
}

# As `step`, but returns only after status 0.
run_to_the_end() {
    local status=0
    ((stops == 0)) || requeue 75
    step "$@" || status=$?
    case $status in
    0) return ;;
    75 | 138 | 143) requeue "$status" ;; # stopped; or SIGUSR1, SIGTERM, before it could listen
    137) ((stops == 0)) || requeue "$status" ;; # srun kills its tasks when it gets a SIGTERM itself
    esac
    exit "$status" # failed: it would fail again
}

# Leaves the script with this status, the job back in the queue if that is for the script to do:
# Slurm requeues what it preempts without a grace time, and a cancelled job would rise again.
requeue() {
    if [[ -z $in_job ]]; then
        complain "stopped; the same command goes on"
        exit "$1"
    fi
    # the plain id of an array's last task means the whole array
    local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID} state='' try
    job=${job:-$SLURM_JOB_ID}
    for try in 1 2 3 4 5; do # a busy controller may not answer at once
        state=$(squeue --noheader --jobs="$job" --format="%T %r") && break
        sleep "$((try * 5))"
    done
    case $state in
    RUNNING* | "COMPLETING TimeLimit")
        if ((${SLURM_RESTART_COUNT:-0} >= MAX_REQUEUES)); then
            complain "stopped; not requeued after $MAX_REQUEUES times (MAX_REQUEUES)"
        else
            complain "stopped; requeues job $job"
            scontrol requeue "$job" || complain "job $job could not be requeued; submit it again"
        fi
        ;;
    *) complain "stopped; job $job is ${state:-unknown}, left to Slurm" ;;
    esac
    exit "$1"
}
