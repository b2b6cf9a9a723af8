"""A stand-in for Python with run_model.py: it records its arguments and ends as a test asks it to.

It appends a row of JSON to the file $RECORDS. Each word of $STAND_IN is for one task, by rank; the
last one is for all further tasks, too:

- a number: it ends with this status at once
- wait: it ends with status 75 after a SIGUSR1 or SIGTERM
- late: it ends when the file $GO exists, with 75 if it got such a signal, with 1 otherwise

In a requeued job, `wait` and `late` end with 0 at once.
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
words = os.environ.get("STAND_IN", "0").split()
end = words[min(int(os.environ.get("SLURM_PROCID", 0)), len(words) - 1)]
if end.isdecimal():
    sys.exit(int(end))
if "SLURM_RESTART_COUNT" in os.environ:
    sys.exit(0)
while not (asked if end == "wait" else os.path.exists(os.environ["GO"])):
    time.sleep(0.05)
sys.exit(75 if asked else 1)
