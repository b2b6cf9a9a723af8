#!/usr/bin/env bash
# The published experiments on Gabors. Each task of the array runs four seeds, one after the other,
# with an analysis of the responses, and then compares them: OUTPUT_DIR/comparison_task0 and so on.
#
#     sbatch slurm/run_dpc_gabors.sh                      # all six tasks
#     sbatch --array=3 slurm/run_dpc_gabors.sh --wd 1e-4  # task 3, with a flag of run_model.py
#     bash slurm/run_dpc_gabors.sh                        # without Slurm: task 0, here and now
#
# | task | initial weights | first epoch with U images | last epoch |
# |------|-----------------|---------------------------|------------|
# | 0, 3 | random          | 12                        | 16         |
# | 1, 4 | Kinetics400     | 6                         | 10         |
# | 2, 5 | MouseSim        | 6                         | 10         |
#
# In tasks 0 to 2 the network sees A, B, C and predicts D or U. In tasks 3 to 5 a sequence starts at
# any of its images (--roll).

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
: "${NUM_SEEDS:=4}" # the number of seeds
: "${REPO:=${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}}" # $0 is a copy in a job

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
flags+=(--gab_img_len 5 --seq_len 5 --pred_step 1 --U_prob 0.08 --diff_U_possizes --analysis)

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
    run_model "${flags[@]}" --seed "$seed" "$@" # returns at once if this run is finished
done
compare_runs "${flags[@]}" "$@"
