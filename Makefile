# make demo: the main job at laptop size. make test: ruff and the tests. Both install what they need.

PYTHON ?= python3
BIN = .venv/bin
DEMO = --model dpc-rnn --dataset gabors --net resnet18 --img_dim 64 --num_seq_in 3 --pred_step 1 \
	--diff_U_possizes --no_augm --batch_size 8 --lr 3e-4 --train_len 128 --num_epochs 16 --unexp_epoch 11 \
	--seed 100 --output_dir demo_output --overwrite

.PHONY: demo test benchmark clean

demo: .venv/run
	$(BIN)/python run_model.py $(DEMO)

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

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
	rm -rf .venv demo_output
