"""Lets one SDK follow an emulator through 1,000 events, and compares the delivered events with the emulator's log.

follow.py EMULATOR NAME POSITION_SPELLING LOGIN COMMAND...

LOGIN is "token" for a made-up token, or the grant by which the SDK must get its tokens: client_credentials, jwt_bearer
or refresh_token. The command gets these arguments: the emulator's origin, the number of distinct events to wait for,
LOGIN, and the credentials. The credentials are the token, or the application's configuration and the refresh token. The
command prints "following" when it knows its start position, and the IDs of the events at the end.
"""

import json
import subprocess
import sys
import threading
import time
from urllib.parse import quote
from urllib.request import Request, urlopen

from console import new_application

EVENTS = 1000
BATCH = 100
# The lifetime is longer than the 3 s that an SDK may wait after a 401 before it uses its new token.
TOKEN_LIFETIME_S = 5
# The time limit. An SDK that has lost events waits for them forever.
TIMEOUT_S = 30


def control(origin, method, resource, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{origin}/_emulator/{resource}", data=data, headers=headers, method=method)) as response:
        return json.load(response)


def credentials(origin, login):
    """Returns the account that the SDK must follow, and the credentials to log in with."""
    if login == "token":
        return "token", ["token"]
    configuration, application = new_application()
    control(origin, "POST", "applications", application)
    if login == "refresh_token":
        authorization = {"client_id": application["client_id"], "user_id": "17"}
        granted = control(origin, "POST", "refresh_tokens", authorization)["refresh_token"]
        return "17", [json.dumps(configuration), granted]
    return f"enterprise {application['enterprise_id']}", [json.dumps(configuration)]


def append_batches(origin, account, wait, stopped):
    """Appends a batch whenever a poll is open, so each batch is signaled. Halfway, waits until the token expires."""
    for batch in range(EVENTS // BATCH):
        if batch == EVENTS // BATCH // 2 and stopped.wait(wait):
            return
        while control(origin, "GET", "counters")["open_polls"] == 0:
            if stopped.wait(0.02):
                return
        control(origin, "POST", "events", {"account": account, "count": BATCH})


def check_logins(origin, login):
    """Returns True if the request log has token requests of only this grant, for two tokens or more, and a summary."""
    requests = [record for record in control(origin, "GET", "requests") if record["endpoint"] == "token"]
    if login == "token":
        return not requests, ""
    granted = [record for record in requests if record["grant"] == login and record["outcome"] == {"responded": 200}]
    expired = sum(control(origin, "GET", "counters")["expired_calls"].values())
    summary = f", {len(granted)} tokens in {len(requests)} requests, calls with an expired one: {expired}"
    return 2 <= len(granted) == len(requests), summary


def follow(origin, name, spelling, login, command):
    """Returns True if the SDK delivered all events and logged in by the grant. Prints the result."""
    account, secrets = credentials(origin, login)
    began = time.monotonic()
    client = subprocess.Popen([*command, origin, str(EVENTS), login, *secrets], stdout=subprocess.PIPE, text=True)
    timeout = threading.Timer(TIMEOUT_S, client.kill)
    timeout.start()
    stopped = threading.Event()
    try:
        assert client.stdout.readline() == "following\n", "the SDK did not start"
        wait = 0 if login == "token" else TOKEN_LIFETIME_S
        threading.Thread(target=append_batches, args=(origin, account, wait, stopped), daemon=True).start()
        seen = client.stdout.read().split()
        took = time.monotonic() - began
    finally:
        stopped.set()
        timeout.cancel()
        client.kill()
    appended = control(origin, "GET", f"events?account={quote(account)}")["ids"]
    counters = control(origin, "GET", "counters")
    calls = ", ".join(f"{counters[endpoint]['requests']} {endpoint}" for endpoint in ("options", "realtime", "events"))
    complete = len(seen) == EVENTS and seen == appended
    outcome = f"all {EVENTS} distinct ids, in order" if complete else f"not all {EVENTS} within {TIMEOUT_S} s"
    logged_in, tokens = check_logins(origin, login)
    print(f"{name}, {login}, positions as {spelling}s: {outcome}, {took:.1f} s, {calls}{tokens}", flush=True)
    return complete and logged_in


def main():
    binary, name, spelling, login, *command = sys.argv[1:]
    settings = {"position_spelling": spelling}
    if login != "token":
        settings |= {"issued_tokens_only": True, "token_lifetime_ms": TOKEN_LIFETIME_S * 1000}
    arguments = ["--port", "0", "--settings", json.dumps(settings)]
    emulator = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        origin = emulator.stdout.readline().split()[-1]
        return 0 if follow(origin, name, spelling, login, command) else 1
    finally:
        emulator.kill()


sys.exit(main())
