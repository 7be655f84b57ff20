"""Follows the emulator with get_event_stream of boxsdk 10. `BaseUrls` points it at the emulator."""

import json
import sys

from box_sdk_gen import (
    AccessToken,
    BaseUrls,
    BoxCCGAuth,
    BoxClient,
    BoxDeveloperTokenAuth,
    BoxJWTAuth,
    BoxOAuth,
    CCGConfig,
    InMemoryTokenStorage,
    JWTConfig,
    NetworkSession,
    OAuthConfig,
)
from box_sdk_gen.managers.events import GetEventStreamQueryParams



def client_credentials(configuration):
    configuration = json.loads(configuration)
    settings = configuration["boxAppSettings"]
    enterprise = configuration["enterpriseID"]
    return BoxCCGAuth(CCGConfig(settings["clientID"], settings["clientSecret"], enterprise_id=enterprise))


def jwt_bearer(configuration):
    return BoxJWTAuth(JWTConfig.from_config_json_string(configuration))


def refresh_token(configuration, token):
    settings = json.loads(configuration)["boxAppSettings"]
    # The access token has expired, as when a program restarts with stored tokens.
    storage = InMemoryTokenStorage(AccessToken(access_token="expired", refresh_token=token))
    return BoxOAuth(OAuthConfig(settings["clientID"], settings["clientSecret"], token_storage=storage))


auths = {
    "token": BoxDeveloperTokenAuth,
    "client_credentials": client_credentials,
    "jwt_bearer": jwt_bearer,
    "refresh_token": refresh_token,
}
origin, wanted, login, *credentials = sys.argv[1:]
client = BoxClient(
    auth=auths[login](*credentials),
    network_session=NetworkSession(base_urls=BaseUrls(base_url=origin)),
)
position = client.events.get_events(stream_position="now").next_stream_position
print("following", flush=True)
ids = {}
start = GetEventStreamQueryParams(stream_position=str(position))
for event in client.events.get_event_stream(query_params=start):
    ids[event.event_id] = None
    if len(ids) == int(wanted):
        break
print("\n".join(ids))
