# shellcheck shell=bash disable=SC2034,SC2154  # variables are shared with the scripts below
# run_dpc.sh and run_dpc_gabors.sh source this file. It holds the variables that a site sets and the
# functions that start a run, pass signals on to it, and requeue its job when the run was stopped. The
# scripts set `script`, their own name, before, and then collect run_model.py's flags in `flags`.

# ---- A site sets these variables, here or in the environment of sbatch.
: "${SETUP:=}"                           # a command to run first, such as ". .venv/bin/activate"
: "${PYTHON:=python3}"                   # the interpreter, which each node finds after SETUP
: "${OUTPUT_DIR:=output_dir}"            # parent of the run folders, on a disk that all nodes share
: "${DATA_PATH_DIR:=process_data/data}"  # the folder of the split files
: "${TEMP_DATA_DIR:=}"                   # if set, frames are read here, on the node's own disk
: "${FRAMES_DIR:=}"                      # if set, {dataset}/frames… is copied from here to there
: "${COPY_FLAGS:=}"                      # flags of this copy: "-b" for --img_dim above 140, "-e left"
: "${K400_WEIGHTS:=weights/k400_128_r18_dpc-rnn.pth.tar}"          # the published ones or your own
: "${MOUSESIM_WEIGHTS:=weights/mousesim_128_r18_dpc-rnn.pth.tar}"  # your own
: "${MAX_REQUEUES:=100}"                 # after so many requeues a stopped job ends with status 75

in_job=${SLURM_JOB_ID:-}
task=${SLURM_ARRAY_TASK_ID:-0}
stops=0  # the number of signals that this script has received
child='' # the process id of the srun that is running

complain() { echo "$script: $*" >&2; }

die() {
    complain "$*"
    exit 2
}

# `task` and the variables that are counted with; -1 as SEED draws one
for name in SEED NUM_SEEDS MAX_REQUEUES SLURM_ARRAY_TASK_ID SLURM_CPUS_PER_TASK SLURM_JOB_ID; do
    [[ ${!name:-0} =~ ^(0|[1-9][0-9]{0,9})$ || $name${!name} == SEED-1 ]] ||
        die "$name is '${!name}': must be a whole number"
done

# Slurm sends SIGUSR1 only to this script (see --signal). The script sends it to srun, and srun to all
# tasks. Slurm itself sends SIGTERM to the tasks. A task that is stopping ignores further signals.
stop() {
    stops=$((stops + 1))
    [[ -n $child ]] || return 0
    # An srun that is still starting can lose a signal, so it is repeated until srun has ended.
    while kill -USR1 "$child"; do sleep 5; done &>/dev/null &
}
[[ -z $in_job ]] || trap stop USR1 TERM INT

set_up() {
    if [[ -n $SETUP ]]; then
        set +eu # few activation scripts run under these options
        eval "$SETUP" || die "SETUP failed: $SETUP"
        set -eu
    fi
    [[ -n $in_job ]] || return 0
    [[ -n ${SLURM_JOB_NODELIST:-} ]] || die "SLURM_JOB_NODELIST is not set, but SLURM_JOB_ID is"
    read -r MASTER_ADDR < <(scontrol show hostnames "$SLURM_JOB_NODELIST") ||
        die "scontrol can't tell the nodes of SLURM_JOB_NODELIST, $SLURM_JOB_NODELIST"
    MASTER_PORT=$((12000 + SLURM_JOB_ID % 20000)) # below the ports that systems assign themselves
    export MASTER_ADDR MASTER_PORT
}

# step [SRUN_OPTION...] -- COMMAND...: runs the command on the job's nodes, or here without a job.
# It returns the command's status; of several tasks, srun reports the largest.
step() {
    # When one task ends, srun must not end the others: after a stop, the first task still saves. And
    # if a step does not end within ten seconds, Slurm sends the signal again a minute later, to the
    # step of this number: if the requeued job runs by then, it is stopped, too. Besides, when one
    # task failed, the others would look as if they had been stopped, and the job would be requeued.
    # They notice the failure themselves, at the latest when they have waited for ten minutes.
    local options=(--kill-on-bad-exit=0 --wait=0)
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    if [[ -z $in_job ]]; then
        "$@"
        return
    fi
    # Since Slurm 22.05 srun no longer takes --cpus-per-task from the job.
    [[ -z ${SLURM_CPUS_PER_TASK:-} ]] || options+=(--cpus-per-task="$SLURM_CPUS_PER_TASK")
    # srun runs in the background, as bash runs no trap during a command in the foreground.
    srun "${options[@]}" "$@" &
    child=$!
    ((stops == 0)) || stop # for a signal that came before `child` was set
    local before status
    while true; do
        before=$stops status=0
        wait "$child" || status=$?
        ((stops != before)) || break # otherwise a signal ended the `wait`, and srun may still run
    done
    child=''
    return "$status"
}

# start_from VARIABLE: lets the run start from the weights in the file that the variable names.
start_from() {
    [[ -f ${!1} ]] || die "${!1}: no such file of weights; set $1"
    flags+=(--pretrained "${!1}")
}

# run_model FLAG...: starts the run of these flags, or resumes it, and returns when it is finished.
run_model() {
    local own=(--output_dir "$OUTPUT_DIR" --resume auto)
    [[ -z ${SLURM_CPUS_PER_TASK:-} ]] || own+=(--num_workers "$((SLURM_CPUS_PER_TASK - 1))")
    run_to_the_end -- "$PYTHON" run_model.py "${own[@]}" "$@"
}

# compare_runs FLAG...: compares all runs of these flags in OUTPUT_DIR, whatever their seeds.
compare_runs() {
    run_to_the_end --nodes=1 --ntasks=1 -- \
        "$PYTHON" -m utils.compare "$OUTPUT_DIR" --out "$OUTPUT_DIR/comparison_task$task" --like "$@"
}

# copy_frames DATASET: copies the dataset's frames to the own disk of each of the job's nodes.
copy_frames() {
    [[ -n $FRAMES_DIR ]] || return 0
    [[ -n $TEMP_DATA_DIR ]] || die "FRAMES_DIR is set: set TEMP_DATA_DIR too, where the frames go"
    local flags
    read -ra flags <<<"$COPY_FLAGS"
    run_to_the_end --ntasks="${SLURM_JOB_NUM_NODES:-1}" --ntasks-per-node=1 -- \
        bash slurm/copy_frame_tars.sh -s "$FRAMES_DIR" -t "$TEMP_DATA_DIR" -d "$1" "${flags[@]}"
}

# Takes the arguments of `step` and returns only if its status is 0. Otherwise it leaves the script.
run_to_the_end() {
    local status=0
    ((stops == 0)) || requeue 75
    step "$@" || status=$?
    case $status in
    0) return ;;
    75 | 138 | 143) requeue "$status" ;; # stopped, or ended by SIGUSR1 or SIGTERM at its start
    137) ((stops == 0)) || requeue "$status" ;; # an srun that gets SIGTERM kills its tasks
    esac
    exit "$status" # The run failed, and it would fail again.
}

# requeue STATUS: requeues the job and leaves the script with this status. It does not requeue a job
# that is preempted without a grace time, as Slurm does so, or one that is cancelled.
requeue() {
    if [[ -z $in_job ]]; then
        complain "stopped; the same command resumes the run"
        exit "$1"
    fi
    # An array's last task has the array's id. This id alone would requeue the whole array.
    local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID} state='' try
    job=${job:-$SLURM_JOB_ID}
    for try in 1 2 3 4 5; do # A busy controller may not answer at once.
        state=$(squeue --noheader --jobs="$job" --format="%T %r") && break
        sleep "$((try * 5))"
    done
    case $state in
    RUNNING* | "COMPLETING TimeLimit")
        if ((${SLURM_RESTART_COUNT:-0} >= MAX_REQUEUES)); then
            complain "stopped; job $job was requeued $MAX_REQUEUES times (MAX_REQUEUES) and ends"
        else
            complain "stopped; requeueing job $job"
            scontrol requeue "$job" || complain "job $job could not be requeued; submit it again"
        fi
        ;;
    *) complain "stopped; job $job is not requeued, as its state is ${state:-unknown}" ;;
    esac
    exit "$1"
}
