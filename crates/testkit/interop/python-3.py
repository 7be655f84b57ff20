"""Follows the emulator with generate_events_with_long_polling of boxsdk 3. `API.BASE_API_URL` points it at the emulator."""

import sys

from boxsdk import Client, OAuth2
from boxsdk.config import API

origin, wanted, _, token = sys.argv[1:]
API.BASE_API_URL = f"{origin}/2.0"

client = Client(OAuth2(client_id="id", client_secret="secret", access_token=token))
position = client.events().get_latest_stream_position()
print("following", flush=True)
ids = {}
for event in client.events().generate_events_with_long_polling(stream_position=position):
    ids[event["event_id"]] = None
    if len(ids) == int(wanted):
        break
print("\n".join(ids))
