#!/usr/bin/env bash
# Pretraining and finetuning on videos. Each task of the array is one run.
#
#     sbatch slurm/run_dpc.sh                                # all seven tasks
#     sbatch --array=4 slurm/run_dpc.sh --split 2            # task 4, with a flag of run_model.py
#     sbatch --nodes=2 --ntasks-per-node=4 --gres=gpu:4 --array=0 slurm/run_dpc.sh  # eight GPUs
#     bash slurm/run_dpc.sh                                  # without Slurm: task 0, here and now
#
# | task | pretrains on | | task | finetunes the Kinetics400 weights on |
# |------|--------------|-|------|--------------------------------------|
# | 0    | Kinetics400  | |      |                                      |
# | 1    | UCF101       | | 4    | UCF101                               |
# | 2    | HMDB51       | | 5    | HMDB51                               |
# | 3    | MouseSim     | | 6    | MouseSim                             |

#SBATCH --job-name=dpc
#SBATCH --array=0-6
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.out

set -euo pipefail

: "${SEED:=100}"
: "${REPO:=${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}}" # $0 is a copy in a job

script=run_dpc.sh
if [[ ! -f $REPO/run_model.py ]]; then
    echo "$script: $REPO has no run_model.py; submit from the repository's folder, or set REPO" >&2
    exit 2
fi
cd "$REPO"
# shellcheck source=slurm/job.sh
. slurm/job.sh

datasets=(Kinetics400 UCF101 HMDB51 MouseSim UCF101 HMDB51 MouseSim)
((task < ${#datasets[@]})) || die "there is no task $task; take 0 to $((${#datasets[@]} - 1))"
dataset=${datasets[task]}

flags=(--dataset "$dataset" --net resnet18 --img_dim 128 --num_seq_in 5)
if ((task < 4)); then
    flags+=(--model dpc-rnn)
else
    flags+=(--model lc-rnn --train_what ft --log_test_cmd)
    start_from K400_WEIGHTS
fi
if [[ $dataset == MouseSim ]]; then
    flags+=(--batch_size 28 --num_epochs 1000 --lr 1e-4)
else
    flags+=(--batch_size 64 --num_epochs 100)
fi
flags+=(--seed "$SEED" --data_path_dir "$DATA_PATH_DIR")
[[ -z $TEMP_DATA_DIR ]] || flags+=(--temp_data_dir "$TEMP_DATA_DIR")

set_up
copy_frames "$dataset"
run_model "${flags[@]}" "$@"
