"""The batch scripts without a cluster: what they run, and how its exit status ends the job.

tests/tools/slurm runs the same scripts on a real Slurm.
"""

import re
import signal
from collections.abc import Iterator

import pytest

from slurm_site import COMMANDS, GABORS, PATIENCE, ROOT, VIDEOS, Site, in_job
from utils.config.command_line import parse


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.clear()


# ------------------------------------------------------------------ the tables of tasks

START = ["run_model.py", "--output_dir", "OUT", "--resume", "auto"]
PUBLISHED = (
    "--model dpc-rnn --dataset gabors --net resnet18 --img_dim 128 --no_augm --batch_size 32 "
    "--gab_img_len 5 --seq_len 5 --pred_step 1 --U_prob 0.08 --diff_U_possizes --analysis "
)
PLAIN = "--num_seq_in 3 --train_len 1024 "
ROLL = "--num_seq_in 4 --train_len 4096 --roll --suffix roll "
GABOR_TASKS = {
    0: PLAIN + "--unexp_epoch 12 --num_epochs 16",
    1: PLAIN + "--pretrained K400 --unexp_epoch 6 --num_epochs 10",
    2: PLAIN + "--pretrained MOUSESIM --unexp_epoch 6 --num_epochs 10",
    3: ROLL + "--unexp_epoch 12 --num_epochs 16",
    4: ROLL + "--pretrained K400 --unexp_epoch 6 --num_epochs 10",
    5: ROLL + "--pretrained MOUSESIM --unexp_epoch 6 --num_epochs 10",
}
SHAPE = "--net resnet18 --img_dim 128 --num_seq_in 5 "
FINETUNE = "--model lc-rnn --train_what ft --log_test_cmd --pretrained K400 "
USUAL = "--batch_size 64 --num_epochs 100 "
MOUSE = "--batch_size 28 --num_epochs 1000 --lr 1e-4 "
END = "--seed 100 --data_path_dir process_data/data"
VIDEO_TASKS = {
    0: "--dataset Kinetics400 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    1: "--dataset UCF101 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    2: "--dataset HMDB51 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    3: "--dataset MouseSim " + SHAPE + "--model dpc-rnn " + MOUSE + END,
    4: "--dataset UCF101 " + SHAPE + FINETUNE + USUAL + END,
    5: "--dataset HMDB51 " + SHAPE + FINETUNE + USUAL + END,
    6: "--dataset MouseSim " + SHAPE + FINETUNE + MOUSE + END,
}


def words(site: Site, flags: str) -> list[str]:
    weights = {name: site.environment[f"{name}_WEIGHTS"] for name in ("K400", "MOUSESIM")}
    return [weights.get(word, word) for word in flags.split()]


@pytest.mark.parametrize("task", GABOR_TASKS)
def test_gabor_tasks_are_the_published_experiments_with_four_seeds(site, task):
    done = site.run(GABORS, SLURM_ARRAY_TASK_ID=task)
    flags = START + words(site, PUBLISHED + GABOR_TASKS[task])
    assert done.runs == [[*flags, "--seed", str(seed)] for seed in (100, 101, 102, 103)]
    assert done.status == 0
    assert parse(done.runs[0][1:])["num_epochs"] in (10, 16)  # the program knows all of the flags
    like = flags[len(START) :]
    out = f"OUT/comparison_task{task}"
    assert done.compared == [["-m", "utils.compare", "OUT", "--out", out, "--like", *like]]


@pytest.mark.parametrize("task", VIDEO_TASKS)
def test_video_tasks(site, task):
    done = site.run(VIDEOS, SLURM_ARRAY_TASK_ID=task)
    assert done.runs == [START + words(site, VIDEO_TASKS[task])]
    assert done.status == 0
    assert parse(done.runs[0][1:])["seed"] == 100


def test_typed_flags_come_last_and_seeds_are_counted(site):
    done = site.run(GABORS, "--num_epochs", "2", "--cpu_only", SEED=7, NUM_SEEDS=2)
    seeds = [run[run.index("--seed") + 1 :] for run in done.runs]
    assert seeds == [["7", "--num_epochs", "2", "--cpu_only"], ["8", *seeds[0][1:]]]
    assert done.compared[0][-3:] == ["--num_epochs", "2", "--cpu_only"]
    assert parse(done.runs[0][1:])["num_epochs"] == 2


def test_frames_are_copied_to_the_node_first(site, tmp_path):
    (tmp_path / "data/UCF101/frames_tar").mkdir(parents=True)
    (tmp_path / "data/UCF101/frames_tar/run.tar").write_bytes(b"frames")
    folders = {"FRAMES_DIR": tmp_path / "data", "TEMP_DATA_DIR": tmp_path / "node"}
    done = site.run(VIDEOS, **in_job(SLURM_ARRAY_TASK_ID=1, **folders))
    assert (tmp_path / "node/UCF101/frames_tar/run.tar").read_bytes() == b"frames"
    assert parse(done.runs[0][1:])["temp_data_dir"] == str(tmp_path / "node")
    copy, train = (call for call in done.calls if call.startswith("srun"))
    assert "--ntasks=2 --ntasks-per-node=1" in copy  # once on each of two nodes
    assert "--ntasks" not in train
    refused = site.run(VIDEOS, FRAMES_DIR=tmp_path)
    assert (refused.status, refused.runs) == (2, [])
    assert "set TEMP_DATA_DIR too" in refused.errors


@pytest.mark.parametrize(
    ("script", "variables", "said"),
    [
        (GABORS, {"SLURM_ARRAY_TASK_ID": 6}, "run_dpc_gabors.sh: there is no task 6; take 0 to 5"),
        (VIDEOS, {"SLURM_ARRAY_TASK_ID": 7}, "run_dpc.sh: there is no task 7; take 0 to 6"),
        (
            VIDEOS,
            {"SLURM_ARRAY_TASK_ID": 4, "K400_WEIGHTS": "none"},
            "run_dpc.sh: none: no such file of weights; set K400_WEIGHTS",
        ),
        (VIDEOS, {"SETUP": "false"}, "run_dpc.sh: SETUP failed: false"),
        (GABORS, {"REPO": "/"}, "run_dpc_gabors.sh: / has no run_model.py; submit from the "),
        (VIDEOS, {"SLURM_SUBMIT_DIR": "/"}, "run_dpc.sh: / has no run_model.py; submit from the "),
        (GABORS, {"NUM_SEEDS": "x"}, "run_dpc_gabors.sh: NUM_SEEDS is 'x': must be a whole number"),
        (GABORS, {"SEED": "08"}, "run_dpc_gabors.sh: SEED is '08': must be a whole number"),
        (VIDEOS, {"SEED": "a[$(ls)]"}, "run_dpc.sh: SEED is 'a[$(ls)]': must be a whole number"),
        (VIDEOS, {"SLURM_ARRAY_TASK_ID": -1}, "run_dpc.sh: SLURM_ARRAY_TASK_ID is '-1': must be"),
        (VIDEOS, {"MAX_REQUEUES": "many"}, "run_dpc.sh: MAX_REQUEUES is 'many': must be"),
        (VIDEOS, {"SLURM_JOB_ID": "7x"}, "run_dpc.sh: SLURM_JOB_ID is '7x': must be"),
        (
            VIDEOS,
            {"SLURM_JOB_ID": 7},
            "run_dpc.sh: SLURM_JOB_NODELIST is not set, but SLURM_JOB_ID",
        ),
    ],
)
def test_wrong_input_gets_a_line_and_status_2(site, script, variables, said):
    done = site.run(script, **variables)
    assert (done.status, done.runs) == (2, [])
    assert done.errors.startswith(said)
    assert done.errors.count("\n") == 1


def test_a_scontrol_that_fails_is_told(site):
    site.command("scontrol", "exit 1")
    done = site.run(VIDEOS, **in_job(SLURM_ARRAY_TASK_ID=0))
    assert (done.status, done.runs) == (2, [])
    assert done.errors.startswith("run_dpc.sh: scontrol can't tell the nodes of SLURM_JOB_NODELIST")


def test_they_run_from_any_folder_after_what_the_site_sets_up(site, tmp_path):
    (tmp_path / "activate").write_text(f"export PATH={tmp_path}/own:$PATH\n: $NOT_SET\nfalse\n:\n")
    done = site.run(VIDEOS, cwd=tmp_path, SETUP=f". {tmp_path}/activate", PYTHON="our_python")
    assert done.status == 127  # as that interpreter is nowhere
    site.command("our_python", COMMANDS["python"])
    done = site.run(VIDEOS, cwd=tmp_path, SETUP=f". {tmp_path}/activate", PYTHON="our_python")
    assert (done.status, len(done.runs)) == (0, 1)


def test_what_they_ask_slurm_for_holds_on_any_site():
    portable = {"job-name", "array", "nodes", "ntasks-per-node", "gres", "cpus-per-task", "time"}
    portable |= {"signal", "requeue", "open-mode", "output"}
    asked = {}
    for script in (GABORS, VIDEOS):
        rows = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", (ROOT / script).read_text(), re.M)
        asked[script] = dict(rows)
        assert asked[script].keys() == portable
        assert asked[script]["signal"] == "B:USR1@120"
        assert "/" not in asked[script]["output"]
    assert asked[GABORS]["array"] == f"0-{len(GABOR_TASKS) - 1}"
    assert asked[VIDEOS]["array"] == f"0-{len(VIDEO_TASKS) - 1}"


# ------------------------------------------------------------------ in a job


def test_a_job_starts_its_runs_as_steps_that_find_each_other(site):
    done = site.run(GABORS, NUM_SEEDS=1, **in_job())
    assert done.status == 0
    row, _ = done.rows
    assert row["MASTER_ADDR"] == "n1"
    assert row["MASTER_PORT"] == str(12000 + 41234 % 20000)
    assert row["SLURM_STEP_NUM_TASKS"] == "1"
    assert row["arguments"][5:7] == ["--num_workers", "3"]  # the fourth CPU is for the training
    step, comparison = (call for call in done.calls if call.startswith("srun"))
    assert step.startswith(
        "srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task=4 python run_model.py"
    )
    assert "--nodes=1 --ntasks=1 " in comparison  # one process writes the tables
    assert " python -m utils.compare OUT " in comparison
    assert done.requeued == []


@pytest.mark.parametrize("status", [75, 138, 143])
def test_a_stopped_job_is_requeued_by_the_id_of_its_task_alone(site, status):
    done = site.run(GABORS, **in_job(STAND_IN=status))
    assert (done.status, done.requeued) == (status, ["41234_0"])
    assert len(done.runs) == 1  # no other seed was started
    job = in_job(STAND_IN=status, SLURM_ARRAY_JOB_ID="")
    assert site.run(GABORS, **job).requeued == ["41234"]


@pytest.mark.parametrize(("status", "requeued"), [(75, ["41234_0"]), (2, [])])
def test_a_comparison_ends_the_job_as_a_run_does(site, status, requeued):
    site.command(
        "python", f"{COMMANDS['python']}".replace("exec", f"[[ $1 != -m ]] || exit {status}\nexec")
    )
    done = site.run(GABORS, **in_job(NUM_SEEDS=2))
    assert (done.status, done.requeued, len(done.runs)) == (status, requeued, 2)


@pytest.mark.parametrize("status", [1, 2, 137, 139])
def test_a_failed_job_is_not(site, status):
    done = site.run(GABORS, **in_job(STAND_IN=status))
    assert (done.status, done.requeued, len(done.runs)) == (status, [], 1)


@pytest.mark.parametrize(
    ("state", "requeues"),
    [
        ("RUNNING None", True),
        ("COMPLETING TimeLimit", True),
        ("COMPLETING None", False),  # cancelled, or preempted without a grace time
        ("PENDING BeginTime", False),
        ("", False),
    ],
)
def test_only_a_running_or_timed_out_job_is_requeued(site, state, requeues):
    done = site.run(GABORS, **in_job(STAND_IN=75, STATE=state))
    assert done.status == 75
    assert bool(done.requeued) == requeues


def test_a_controller_that_does_not_answer_is_asked_again(site, tmp_path):
    site.command("sleep", 'echo "sleep $*" >> "$CALLS"')
    site.command(
        "squeue", f"if mkdir {tmp_path}/asked 2>/dev/null; then exit 1; else echo RUNNING; fi"
    )
    done = site.run(GABORS, **in_job(STAND_IN=75))
    assert done.requeued == ["41234_0"]
    assert "sleep 5" in done.calls


def test_requeueing_comes_to_an_end(site):
    job = in_job(STAND_IN=75, MAX_REQUEUES=3)
    assert site.run(GABORS, **job, SLURM_RESTART_COUNT=2).requeued == ["41234_0"]
    last = site.run(GABORS, **job, SLURM_RESTART_COUNT=3)
    assert (last.status, last.requeued) == (75, [])
    assert "was requeued 3 times" in last.errors


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_to_the_script_reaches_the_run(site, number):
    process = site.start(GABORS, **in_job(STAND_IN="wait"))
    site.until_started(process)
    process.send_signal(number)
    done = site.finish(process)
    assert (done.status, done.requeued, len(done.runs)) == (75, ["41234_0"], 1)


def test_a_run_that_srun_kills_with_its_job_is_requeued(site):
    site.command("srun", "trap 'exit 137' USR1; echo started >> $RECORDS; while :; do :; done")
    process = site.start(GABORS, **in_job())
    site.until_started(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 137
    assert "scontrol requeue 41234_0" in (site.folder / "calls").read_text()


def test_a_signal_that_a_starting_srun_loses_is_sent_again(site, tmp_path):
    # The script waits with `sleep`; it goes on here when srun has had the signal.
    site.command("sleep", f"until [[ -e {tmp_path}/got ]]; do read -rt 0.05 <> <(:) || true; done")
    first = f"[[ -e {tmp_path}/got ]] || {{ touch {tmp_path}/got; return; }}"
    srun = f"got() {{ {first}; exit 75; }}; trap got USR1; echo started >> $RECORDS"
    site.command("srun", f"{srun}; while :; do :; done")
    process = site.start(GABORS, **in_job())
    site.until_started(process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(PATIENCE) == 75


@pytest.mark.parametrize(
    ("status", "said"), [(75, "the same command resumes the run"), (1, ""), (2, "")]
)
def test_without_slurm_the_status_is_handed_on(site, status, said):
    done = site.run(GABORS, STAND_IN=status)
    assert (done.status, len(done.runs), done.calls) == (status, 1, [])
    assert said in done.errors
