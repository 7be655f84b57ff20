// Follows the emulator with the EventStream of box-node-sdk 10. `BaseUrls` points it at the emulator.
const {
  BoxCcgAuth,
  BoxClient,
  BoxDeveloperTokenAuth,
  BoxJwtAuth,
  BoxOAuth,
  CcgConfig,
  JwtConfig,
  OAuthConfig,
} = require('box-node-sdk');
const { InMemoryTokenStorage } = require('box-node-sdk/box');
const { BaseUrls, NetworkSession } = require('box-node-sdk/networking');

const [origin, wanted, login, ...credentials] = process.argv.slice(2);

const auths = {
  token: (token) => new BoxDeveloperTokenAuth({ token }),
  client_credentials: (configuration) => {
    const { boxAppSettings, enterpriseID } = JSON.parse(configuration);
    const { clientID: clientId, clientSecret } = boxAppSettings;
    return new BoxCcgAuth({ config: new CcgConfig({ clientId, clientSecret, enterpriseId: enterpriseID }) });
  },
  jwt_bearer: (configuration) => new BoxJwtAuth({ config: JwtConfig.fromConfigJsonString(configuration) }),
  refresh_token: (configuration, refreshToken) => {
    const { clientID: clientId, clientSecret } = JSON.parse(configuration).boxAppSettings;
    // The access token has expired, as when a program restarts with stored tokens.
    const tokenStorage = new InMemoryTokenStorage({ token: { accessToken: 'expired', refreshToken } });
    return new BoxOAuth({ config: new OAuthConfig({ clientId, clientSecret, tokenStorage }) });
  },
};

const client = new BoxClient({
  auth: auths[login](...credentials),
  networkSession: new NetworkSession({ baseUrls: new BaseUrls({ baseUrl: origin }) }),
});
const ids = new Set();

async function main() {
  const { nextStreamPosition } = await client.events.getEvents({ streamPosition: 'now' });
  const stream = client.events.getEventStream({ streamPosition: String(nextStreamPosition) });
  console.log('following');
  stream.on('error', (problem) => console.error(String(problem)));
  stream.on('data', (event) => {
    ids.add(event.eventId);
    if (ids.size === Number(wanted)) {
      console.log([...ids].join('\n'));
      process.exit(0);
    }
  });
}

main();
