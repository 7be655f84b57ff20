"""Lets one SDK follow an emulator through 1,000 events, and compares what it saw with the emulator's log.

follow.py EMULATOR NAME POSITION_SPELLING LOGIN COMMAND...

LOGIN is "token" for a made-up one, or the grant by which the SDK has to get tokens: client_credentials, jwt_bearer or
refresh_token. The command is given the emulator's origin, how many distinct events to wait for, LOGIN, and what the SDK
needs for it: the token, or the application's configuration and the refresh token. It prints "following" when it knows
where it starts, and the ids in the end.
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
# After a 401 the SDKs wait up to 3 s before they use their new token.
TOKEN_LIFETIME_S = 5
# An SDK that has lost events waits for them in vain.
PATIENCE_S = 30


def control(origin, method, resource, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{origin}/_emulator/{resource}", data=data, headers=headers, method=method)) as answer:
        return json.load(answer)


def credentials(origin, login):
    """Returns the account that the SDK is to follow, and what it needs to log in."""
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
    """Appends a batch whenever a poll is open, so that each is signalled. Half-way it waits, for a token to expire."""
    for batch in range(EVENTS // BATCH):
        if batch == EVENTS // BATCH // 2 and stopped.wait(wait):
            return
        while control(origin, "GET", "counters")["open_polls"] == 0:
            if stopped.wait(0.02):
                return
        control(origin, "POST", "events", {"account": account, "count": BATCH})


def check_logins(origin, login):
    """Returns whether the journal shows the grant alone, for a token and its successor at least, and a summary of it."""
    asked = [record for record in control(origin, "GET", "requests") if record["endpoint"] == "token"]
    if login == "token":
        return not asked, ""
    granted = [record for record in asked if record["grant"] == login and record["outcome"] == {"answered": 200}]
    expired = sum(control(origin, "GET", "counters")["expired_calls"].values())
    summary = f", {len(granted)} tokens in {len(asked)} requests, calls with an expired one: {expired}"
    return 2 <= len(granted) == len(asked), summary


def follow(origin, name, spelling, login, command):
    """Returns whether the SDK saw all events and logged in as it was told, and says so."""
    account, secrets = credentials(origin, login)
    began = time.monotonic()
    client = subprocess.Popen([*command, origin, str(EVENTS), login, *secrets], stdout=subprocess.PIPE, text=True)
    patience = threading.Timer(PATIENCE_S, client.kill)
    patience.start()
    stopped = threading.Event()
    try:
        assert client.stdout.readline() == "following\n", "the SDK did not start"
        wait = 0 if login == "token" else TOKEN_LIFETIME_S
        threading.Thread(target=append_batches, args=(origin, account, wait, stopped), daemon=True).start()
        seen = client.stdout.read().split()
        took = time.monotonic() - began
    finally:
        stopped.set()
        patience.cancel()
        client.kill()
    appended = control(origin, "GET", f"events?account={quote(account)}")["ids"]
    counters = control(origin, "GET", "counters")
    calls = ", ".join(f"{counters[endpoint]['requests']} {endpoint}" for endpoint in ("options", "realtime", "events"))
    complete = len(seen) == EVENTS and seen == appended
    outcome = f"all {EVENTS} distinct ids, in order" if complete else f"not all {EVENTS} within {PATIENCE_S} s"
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
