// Follows the emulator with the EventStream of box-node-sdk 3. `apiRootURL` points it at the emulator.
const http = require('http');
const BoxSDK = require('box-node-sdk');

const [origin, wanted, , token] = process.argv.slice(2);
const sdk = new BoxSDK({
  clientID: 'id',
  clientSecret: 'secret',
  apiRootURL: origin,
  // The SDK's own agent supports only https.
  request: { agentClass: http.Agent },
});
const ids = new Set();

sdk.getBasicClient(token).events.getEventStream({ fetchInterval: 100 }, (error, stream) => {
  if (error) throw error;
  console.log('following');
  stream.on('error', (problem) => console.error(String(problem)));
  stream.on('data', (event) => {
    ids.add(event.event_id);
    if (ids.size === Number(wanted)) {
      console.log([...ids].join('\n'));
      process.exit(0);
    }
  });
});
