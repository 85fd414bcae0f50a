import { mqttDriver } from '../../drivers/mqtt.ts';
import { transportContract } from '../transport.contract.ts';

const sys = {
  reason:
    'MQTT publishes the figures of the broker under $SYS, and without authentication every client may read them',
  tests: ['refuses to read the server’s own channels'],
};
const unanswered = {
  reason: 'a PUBLISH at QoS 0 is not answered',
  tests: [
    'publishes over itself, once per publish id',
    'refuses to publish a message that is too large or has an invalid name, and stores nothing of it',
  ],
};
/** Each test of the contract that reads the position of a message. */
const placeless = {
  reason: 'MQTT 3.1.1 has a topic and a payload: no cursor, no offset, and no word for what it refuses',
  tests: [
    'delivers messages published after its start, in order, with offset and cursor',
    'comes back with the cursor it kept, after a clean end and after a cut',
    'comes back to a quiet channel without having read anything',
    'gives a filter all its channels in the one order of the store',
    'gives a reader behind the retention edge a gap notice, and continues behind the gap',
    'answers a cursor of another log with a gap, never with silence',
    'refuses an invalid cursor, start or name',
    'keeps odd names apart: nothing is normalised',
    'publishes over itself, once per publish id',
    'refuses to publish a message that is too large or has an invalid name, and stores nothing of it',
  ],
};

for (const [link, qos] of [
  ['TCP', 0],
  ['TCP', 1],
  ['TCP', 2],
  ['WebSocket', 1],
] as const) {
  transportContract({
    driver: mqttDriver({ version: '5', link, qos }),
    skip: [sys, ...(qos === 0 ? [unanswered] : [])],
  });
}

for (const [link, qos] of [
  ['TCP', 0],
  ['WebSocket', 2],
] as const) {
  transportContract({ driver: mqttDriver({ version: '3.1.1', link, qos }), skip: [sys, placeless] });
}
