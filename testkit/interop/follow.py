"""Lets one SDK follow an emulator through 1,000 events, and compares what it saw with the emulator's log.

follow.py EMULATOR NAME POSITION_SPELLING COMMAND...

The command is given the emulator's origin, a token and how many distinct events to wait for. It prints "following" when
it knows where it starts, and the ids in the end.
"""

import json
import subprocess
import sys
import threading
import time
from urllib.request import Request, urlopen

EVENTS = 1000
BATCH = 100
# An SDK that has lost events waits for them in vain.
PATIENCE_S = 20


def control(origin, method, resource, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{origin}/_emulator/{resource}", data=data, method=method)) as answer:
        return json.load(answer)


def append_batches(origin, stopped):
    """Appends a batch whenever a poll is open, so that each is signalled."""
    for _ in range(EVENTS // BATCH):
        while control(origin, "GET", "counters")["open_polls"] == 0:
            if stopped.wait(0.02):
                return
        control(origin, "POST", "events", {"account": "token", "count": BATCH})


def main():
    binary, name, spelling, *command = sys.argv[1:]
    settings = json.dumps({"position_spelling": spelling})
    emulator = subprocess.Popen([binary, "--port", "0", "--settings", settings], stdout=subprocess.PIPE, text=True)
    origin = emulator.stdout.readline().split()[-1]
    began = time.monotonic()
    client = subprocess.Popen([*command, origin, "token", str(EVENTS)], stdout=subprocess.PIPE, text=True)
    patience = threading.Timer(PATIENCE_S, client.kill)
    patience.start()
    stopped = threading.Event()
    try:
        assert client.stdout.readline() == "following\n", "the SDK did not start"
        threading.Thread(target=append_batches, args=(origin, stopped), daemon=True).start()
        seen = client.stdout.read().split()
        took = time.monotonic() - began
        appended = control(origin, "GET", "events?account=token")["ids"]
        counters = control(origin, "GET", "counters")
        calls = ", ".join(f"{counters[endpoint]['requests']} {endpoint}" for endpoint in ("options", "realtime", "events"))
        complete = len(seen) == EVENTS and seen == appended
        outcome = f"all {EVENTS} distinct ids, in order" if complete else f"not all {EVENTS} within {PATIENCE_S} s"
        print(f"{name}, positions as {spelling}s: {outcome}, {took:.1f} s, {calls}", flush=True)
        return 0 if complete else 1
    finally:
        stopped.set()
        patience.cancel()
        client.kill()
        emulator.kill()


sys.exit(main())
