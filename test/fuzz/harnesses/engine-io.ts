import assert from 'node:assert/strict';
import {
  base64Packet,
  parsePacket,
  parsePayload,
  separator,
  type EnginePacket,
} from '@everywire/wires/socketio';
import { packetCases } from '../../cases/socketio.ts';
import type { Harness } from '../harness.ts';

const inputBytesMax = 400;

export const harness: Harness = {
  name: 'engine-io',
  inputBytesMax,
  seeds: [
    '4hello',
    `40${separator}42["subscribe","a"]${separator}bAQID`,
    '2probe',
    '5',
    `3${separator}1`,
    ...packetCases
      .flatMap(({ send }) => send)
      .filter((send): send is string => typeof send === 'string' && send.length <= inputBytesMax),
  ],
  dictionary: [separator, 'b', '2probe', 'AAEC', '=='],
  run: (input) => {
    const text = input.toString();
    const packet = parsePacket(text);
    const payload = parsePayload(text);
    if (packet?.kind === 'message') assert.equal(packet.data, text.slice(1));
    if (payload === undefined) return packet !== undefined;
    assert.equal(payload.length, text.split(separator).length);
    // What was binary is written again as the same bytes: nothing in base64 was skipped.
    assert.deepEqual(parsePayload(payload.map(textOf).join(separator)), payload);
    for (const one of payload) {
      if (one.kind === 'message') assert.ok(Buffer.byteLength(one.data) <= input.length * 3);
    }
    return true;
  },
};

const letters = { close: '1', probe: '2probe', pong: '3', upgrade: '5', noop: '6' } as const;

function textOf(packet: EnginePacket): string {
  if (packet.kind !== 'message') return letters[packet.kind];
  return typeof packet.data === 'string' ? `4${packet.data}` : base64Packet(packet.data);
}
