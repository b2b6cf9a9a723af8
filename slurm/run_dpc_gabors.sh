#!/usr/bin/env bash
# The published experiments on Gabors: four seeds, one after the other, in each task of the array.
#
#     sbatch slurm/run_dpc_gabors.sh                      # all six tasks
#     sbatch --array=3 slurm/run_dpc_gabors.sh --wd 1e-4  # one of them, more flags of run_model.py
#     bash slurm/run_dpc_gabors.sh                        # here and now, task 0
#
# | task | starts from                                         |
# |------|-----------------------------------------------------|
# | 0, 3 | random weights; U images from epoch 12, ends at 16  |
# | 1, 4 | Kinetics400 weights; U from epoch 6, ends at 10     |
# | 2, 5 | MouseSim weights; the same                          |
#
# Tasks 0 to 2 see A, B, C and predict D or U; in tasks 3 to 5 sequences start anywhere (--roll).

#SBATCH --job-name=dpc_gabors
#SBATCH --array=0-5
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

: "${SEED:=100}"    # the first seed
: "${NUM_SEEDS:=4}" # how many, counted from it
: "${REPO:=${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}}" # Slurm runs a copy of this file

script=run_dpc_gabors.sh
if [[ ! -f $REPO/run_model.py ]]; then
    echo "$script: $REPO has no run_model.py; submit from the repository's folder, or set REPO" >&2
    exit 2
fi
cd "$REPO"
# shellcheck source=slurm/job.sh
. slurm/job.sh

((task < 6)) || die "there is no task $task; take 0 to 5"

flags=(--model dpc-rnn --dataset gabors --net resnet18 --img_dim 128 --no_augm --batch_size 32)
flags+=(--gab_img_len 5 --seq_len 5 --pred_step 1 --U_prob 0.08 --diff_U_possizes)

if ((task < 3)); then
    flags+=(--num_seq_in 3 --train_len 1024)
else
    flags+=(--num_seq_in 4 --train_len 4096 --roll --suffix roll)
fi

unexp_epoch=6
case $((task % 3)) in
0) unexp_epoch=12 ;;
1) start_from K400_WEIGHTS ;;
2) start_from MOUSESIM_WEIGHTS ;;
esac
flags+=(--unexp_epoch "$unexp_epoch" --num_epochs "$((unexp_epoch + 4))")

set_up
for ((seed = SEED; seed < SEED + NUM_SEEDS; seed++)); do
    run_model "${flags[@]}" --seed "$seed" "$@" # ends at once if it has been finished before
done
