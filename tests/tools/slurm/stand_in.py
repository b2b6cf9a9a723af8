"""In place of Python with run_model.py: writes down what it was called with, and ends as asked.

Adds a row of JSON to the file $RECORDS. $STAND_IN says how it ends: with that status, or 'wait':
with 75 after SIGUSR1 or SIGTERM, but in a requeued job with 0 at once.
"""

import json
import os
import signal
import sys
import time

NOTED = ("MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")

asked = []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, _: asked.append(number))
row = {"arguments": sys.argv[1:], **{name: os.environ.get(name) for name in NOTED}}
with open(os.environ["RECORDS"], "a") as file:
    file.write(json.dumps(row) + "\n")
end = os.environ.get("STAND_IN", "0")
if end != "wait":
    sys.exit(int(end))
if "SLURM_RESTART_COUNT" in os.environ:
    sys.exit(0)
while not asked:
    time.sleep(0.05)
sys.exit(75)
