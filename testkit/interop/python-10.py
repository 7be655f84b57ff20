"""Follows the emulator with boxsdk 10: get_event_stream, pointed at the emulator by `BaseUrls`."""

import sys

from box_sdk_gen import BaseUrls, BoxClient, BoxDeveloperTokenAuth, NetworkSession
from box_sdk_gen.managers.events import GetEventStreamQueryParams

origin, token, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = BoxClient(
    auth=BoxDeveloperTokenAuth(token=token),
    network_session=NetworkSession(base_urls=BaseUrls(base_url=origin)),
)
position = client.events.get_events(stream_position="now").next_stream_position
print("following", flush=True)
ids = {}
start = GetEventStreamQueryParams(stream_position=str(position))
for event in client.events.get_event_stream(query_params=start):
    ids[event.event_id] = None
    if len(ids) == wanted:
        break
print("\n".join(ids))
