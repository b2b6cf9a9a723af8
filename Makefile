# Each of these installs what it needs:
# demo: the main job at laptop size; demo-video: the same on real clips
# test: ruff, mypy and all tests; test-quick: ruff and the unit tests, for work in progress
# test-slurm: the batch scripts on a real Slurm (as root, on Debian); test-faults: killed runs, full disks
# test-odd: thousands of odd flags, files and values; docs-check: the pages' links and commands

PYTHON ?= python3
BIN = .venv/bin
# one thread in each of as many processes as there are cores: small networks gain nothing from more
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile
DEMO = --model dpc-rnn --dataset gabors --net resnet18 --img_dim 64 --num_seq_in 3 --pred_step 1 \
	--diff_U_possizes --no_augm --batch_size 8 --lr 3e-4 --train_len 128 --num_epochs 16 --unexp_epoch 11 \
	--seed 100 --output_dir demo_output --overwrite

VIDEO = --d_root demo_video --dataset UCF101
VIDEO_RUN = --dataset ucf101 --net resnet18 --img_dim 64 --ucf_hmdb_ms_ds 2 --num_seq_in 3 --batch_size 8 \
	--data_path_dir demo_video/data --output_dir demo_video/runs --seed 100 --overwrite
VIDEO_NAME = demo_video/runs/ucf101-64_r18
VIDEO_DPC = $(VIDEO_NAME)_dpc-rnn_bs8_lr0.001_nseq3_pred1_len5_ds2_train-all_seed100/model/epoch10.pth.tar

.PHONY: demo demo-video test test-quick test-slurm test-faults test-odd docs-check benchmark clean

demo: .venv/run
	$(BIN)/python run_model.py $(DEMO)

demo-video: .venv/run
	$(BIN)/python tests/make_clips.py --d_root demo_video
	$(BIN)/python process_data/extract_frames.py $(VIDEO)
	$(BIN)/python process_data/write_csvs.py $(VIDEO) --csv_root demo_video/data
	$(BIN)/python process_data/verify.py $(VIDEO) --csv_root demo_video/data --num_seq_in 3 --pred_step 1 --ds 2
	$(BIN)/python run_model.py --model dpc-rnn --pred_step 1 --num_epochs 10 $(VIDEO_RUN)
	$(BIN)/python run_model.py --retrieve $(VIDEO_DPC)
	$(BIN)/python run_model.py --model lc-rnn --train_what ft --num_epochs 10 $(VIDEO_RUN) --pretrained $(VIDEO_DPC)
	$(BIN)/python run_model.py --overwrite \
		--test $(VIDEO_NAME)_lc-rnn_bs8_lr0.001_nseq3_len5_ds2_train-ft_seed100_pt-epoch10/model/epoch10.pth.tar

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy dataset model utils process_data run_model.py
	$(PYTEST)

test-quick: .venv/test
	$(BIN)/ruff check .
	$(PYTEST) tests/unit -m "not slow"

test-slurm: .venv/test
	command -v munged && command -v slurmctld && command -v slurmd && command -v sbatch || \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge; }
	$(BIN)/python -m pytest tests/tools/slurm/on_slurm.py

test-faults: .venv/test
	$(BIN)/python -m pytest -s tests/runs/many_faults.py

test-odd: .venv/test
	$(PYTEST) --dist load -rP tests/odd/many_*.py

docs-check: .venv/test
	$(BIN)/python tests/docs_check.py

benchmark: .venv/run
	$(BIN)/python tests/benchmark.py

.venv/run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test: .venv/run tests/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	rm -rf .venv demo_output demo_video
