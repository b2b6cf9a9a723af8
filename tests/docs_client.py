"""`python` of the pages' sandbox: it asks docs_programs.py, at $PROGRAMS, to run its arguments."""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.environ["PROGRAMS"])
    asked = {"arguments": sys.argv[1:], "folder": os.getcwd(), "variables": dict(os.environ)}
    socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
    status = int(connection.recv(16) or 1)
sys.exit(status if status >= 0 else 128 - status)
