import assert from 'node:assert/strict';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { parseCommand } from '../../../packages/server/src/transports/stomp/commands.ts';
import {
  parseDestination,
  queueFilter,
  sharedDurable,
} from '../../../packages/server/src/transports/stomp/destinations.ts';
import {
  FrameReader,
  type Received,
  versions,
  type Frame,
  type Version,
  encodeFrame,
} from '@everywire/wires/stomp';
import { parseAckId } from '../../../packages/server/src/transports/stomp/format.ts';
import { cases } from '../../cases/stomp.ts';
import type { Harness } from '../harness.ts';
import { chunkingsOf, takenOrRefused } from '../tools.ts';

const inputBytesMax = 700;
const bounds = {
  headBytesMax: 400,
  headersMax: 12,
  lineBytesMax: 200,
  commandBytesMax: 16,
  bodyBytesMax: 256,
};
const stamp = { id: '01JD0000000000000000000000', nowMs: 1_800_000_000_000, from: undefined };

/** The first byte chooses the version that was agreed on, or that none was yet. */
const spoken = [undefined, ...versions];
const of = (version: number, ...frames: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat([Buffer.of(version), ...frames.map((frame) => Buffer.from(frame as string))]);

export const harness: Harness = {
  name: 'stomp',
  inputBytesMax,
  seeds: [
    of(
      0,
      'CONNECT\naccept-version:1.0,1.1,1.2\nhost:h\nheart-beat:1000,2000\npasscode:t\nlogin:u\nclient-id:c\n\n\0',
    ),
    of(0, '\r\n\nSTOMP\r\naccept-version:1.2\r\nhost:h\r\nAuthorization:Bearer t\r\n\r\n\0\n'),
    of(
      3,
      'SEND\ndestination:/topic/a\ncontent-type:application/json\ncontent-length:7\nreceipt:r\nttl:5m\nretain:true\nkey:k\nx\\cy:1\\n2\\r3\\\\\n\n{"a":1}\0',
    ),
    of(
      3,
      'SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\nprefetch-count:5\nsince:last-3\nactivemq.subscriptionName:s\n\n\0',
    ),
    of(2, 'SUBSCRIBE\nid:0\ndestination:a/**\nack:client\ndurable:true\n\n\0UNSUBSCRIBE\nid:0\n\n\0'),
    of(3, 'ACK\nid:1k3f9q2.1a2b.9f3c0d4e5a6b7c8d/0\ntransaction:t\n\n\0NACK\nid:x\nrequeue:false\n\n\0'),
    of(2, 'ACK\nsubscription:0\nmessage-id:1k3f9q2.1a2b.9f3c0d4e5a6b7c8d\n\n\0'),
    of(1, 'ACK\nmessage-id: 5\n\n\0SUBSCRIBE\ndestination: /user/x\n\n\0'),
    of(
      3,
      'BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0DISCONNECT\nreceipt:1\n\n\0',
    ),
    of(3, 'SEND\ndestination:a\n\nno length\0', 'SEND\ndestination:a\ncontent-length:3\n\n\0\0\0\0'),
    ...cases
      .map(({ send, isFirst, versions: of = ['1.2'] }) =>
        Buffer.concat([
          Buffer.of(isFirst === true ? 0 : versions.indexOf(of[0] as Version) + 1),
          Buffer.from(send as string),
        ]),
      )
      .filter((send) => send.length <= inputBytesMax),
  ],
  dictionary: [
    '\n\n\0',
    '\r\n',
    'content-length:',
    'destination:/queue/',
    'destination:/user/',
    '/exchange/',
    'selector:',
    'durable-subscription-name:',
    'auto-delete:true',
    'persistent:true',
    'heart-beat:',
    '\\c',
    '\\r',
    '\\t',
    'accept-version:1.1,1.2',
  ],
  run: (input) => {
    const version = spoken[(input[0] ?? 0) % spoken.length];
    const bytes = input.subarray(1);
    const whole = readAll(version, [Buffer.from(bytes)]);
    for (const chunks of chunkingsOf(bytes)) {
      assert.deepEqual(readAll(version, chunks), whole, 'what is read does not depend on how it was cut');
    }
    let taken = 0;
    for (const [at, one] of whole.entries()) {
      if (one.kind === 'fault') {
        assert.equal(at, whole.length - 1, 'nothing is read behind a fault');
        assert.match(one.detail, /\.$/);
      } else if (checkFrame(one.frame, version)) {
        taken += 1;
      }
    }
    return taken > 0;
  },
};

function checkFrame(frame: Frame, version: Version | undefined): boolean {
  const { command, headers, body } = frame;
  assert.ok(headers.size <= bounds.headersMax && body.length <= bounds.bodyBytesMax);
  // Before a version was agreed on nothing has escapes, as in the 1.0 that is written instead.
  const spelled: Version = version ?? '1.0';
  if (isWritable(frame, version)) {
    const lines = [...headers].filter(([name]) => name !== 'content-length');
    const again = encodeFrame(command, [...lines, ['content-length', String(body.length)]], spelled, body);
    const [read, ...more] = readAll(version, [again], wide);
    assert.deepEqual(more, []);
    assert.ok(read?.kind === 'frame', 'what was read can be written and read again');
    assert.deepEqual(
      [...read.frame.headers].filter(([name]) => name !== 'content-length'),
      lines,
    );
    assert.deepEqual(read.frame.body, body);
  }
  const asked = takenOrRefused(() => parseCommand(frame, spelled, defaultLimits));
  if (asked === undefined) return false;
  if (asked.op === 'send') takenOrRefused(() => checkDraft(asked.draft, stamp, defaultLimits));
  if (asked.op === 'ack' && asked.id !== undefined) parseAckId(asked.id);
  if (asked.op === 'send' || asked.op === 'subscribe') {
    const { destination } = asked;
    const read = takenOrRefused(() => parseDestination(destination, 'user-1'));
    if (read?.isQueue === true) takenOrRefused(() => queueFilter(read.name));
    if (asked.op === 'subscribe' && asked.durableName !== undefined)
      sharedDurable(asked.durableName, destination);
  }
  return true;
}

const wide = { ...bounds, headBytesMax: 10_000, lineBytesMax: 5_000, headersMax: 64 };

/** Of what can be read, some has no way to be written: 1.1 and older have no CR, and 1.0 no colon. */
function isWritable({ command, headers }: Frame, version: Version | undefined): boolean {
  // CONNECT and CONNECTED are written without escapes, in every agreed version.
  if (version !== undefined && /^CONNECT(ED)?$/.test(command)) return false;
  return [...headers].every(([name, value]) => {
    const text = name + value;
    if (version === '1.2') return true;
    if (version === '1.1') return !text.includes('\r');
    return !/[\r\n]/.test(text) && !name.includes(':') && (version === undefined || value === value.trim());
  });
}

function readAll(version: Version | undefined, chunks: readonly Buffer[], within = bounds): Received[] {
  const reader = new FrameReader(within);
  reader.version = version;
  const read: Received[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let one = reader.next(); one !== undefined; one = reader.next()) {
      // A body may be part of a chunk.
      read.push(
        one.kind === 'fault' ? one : { ...one, frame: { ...one.frame, body: Buffer.from(one.frame.body) } },
      );
    }
  }
  return read;
}
