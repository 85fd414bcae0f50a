import assert from 'node:assert/strict';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { readCommand } from '../../../packages/server/src/transports/socketio/commands.ts';
import { IoFault, parseIoPacket, reservedEvents, valueOfItem } from '@everywire/wires/socketio';
import { packetCases } from '../../cases/socketio.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

const inputBytesMax = 500;
const limits = { attachmentsMax: 10, jsonDepthMax: 8, nameBytesMax: 255 };
const stamp = { id: '01JD0000000000000000000000', nowMs: 1_800_000_000_000, from: undefined };

export const harness: Harness = {
  name: 'socket-io',
  inputBytesMax,
  seeds: [
    '0{"token":"t","after":"1k3f9q2.1a2b.9f3c0d4e5a6b7c8d"}',
    '0/chat?x=1,{"token":"t"}',
    '1/chat,',
    '21["publish","a",{"text":"hi"},{"event":"e","key":"k","headers":{"h":"v"},"ttl":"5m","retain":true}]',
    '2/chat,12["subscribe","a/**",{"since":"earliest"}]',
    '51-/chat,3["publish","a",{"_placeholder":true,"num":0},{"type":"image/png"}]',
    '52-["x",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]',
    '3-5[1]',
    '61-7[{"_placeholder":true,"num":0}]',
    '2["auth","token"]',
    '2["unsubscribe","a"]',
    ...packetCases
      .flatMap(({ send }) => send)
      .filter((send): send is string => typeof send === 'string' && send.length <= inputBytesMax)
      .filter((send) => send.startsWith('4'))
      .map((send) => send.slice(1)),
  ],
  dictionary: [
    '{"_placeholder":true,"num":0}',
    '"num":',
    '51-',
    '["',
    '"publish"',
    '"__proto__"',
    '{"',
    '\\u005f',
  ],
  run: (input) => {
    const packet = parseIoPacket(input.toString(), limits);
    if (packet instanceof IoFault) {
      assert.ok(packet.detail.length > 0);
      return false;
    }
    const { kind, items, attachments, id, ioNamespace } = packet;
    assert.ok(ioNamespace.startsWith('/') && attachments <= limits.attachmentsMax);
    if (id !== undefined) assert.ok(Number.isSafeInteger(id) && id >= 0);
    const buffers = Array.from({ length: attachments }, (_, at) => Buffer.of(at));
    const values = items.map((item) => valueOfItem(item, buffers));
    const found = new Set<Buffer>();
    collect(values, found);
    assert.equal(found.size, attachments, 'each attachment is in its place');
    if (kind !== 'event') return true;

    const [name] = values;
    assert.ok(typeof name === 'number' || (typeof name === 'string' && !reservedEvents.has(name)));
    const command = takenOrRefused(() =>
      readCommand({ name, items: items.slice(1), attachments: buffers }, defaultLimits),
    );
    if (command?.op === 'publish') {
      assert.ok(Buffer.isBuffer(command.draft.payload));
      takenOrRefused(() => checkDraft(command.draft, stamp, defaultLimits));
    }
    return true;
  },
};

function collect(value: unknown, found: Set<Buffer>): void {
  if (Buffer.isBuffer(value)) found.add(value);
  else if (Array.isArray(value)) for (const one of value) collect(one, found);
  else if (value !== null && typeof value === 'object') collect(Object.values(value), found);
}
