// Follows the emulator with box-node-sdk 10: its EventStream, pointed at the emulator by `BaseUrls`.
const { BoxClient, BoxDeveloperTokenAuth } = require('box-node-sdk');
const { BaseUrls, NetworkSession } = require('box-node-sdk/networking');

const [origin, token, wanted] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const client = new BoxClient({
  auth: new BoxDeveloperTokenAuth({ token }),
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
    if (ids.size === wanted) {
      console.log([...ids].join('\n'));
      process.exit(0);
    }
  });
}

main();
