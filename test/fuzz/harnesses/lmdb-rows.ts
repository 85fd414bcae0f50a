import assert from 'node:assert/strict';
import { Message } from '../../../packages/server/src/core/log/message.ts';
import {
  checkRecord,
  crcSeed,
  readRecord,
  recordBytes,
  seqOfRecord,
  writeRecord,
} from '../../../packages/server/src/stores/lmdb/record.ts';
import { seal, unseal } from '../../../packages/server/src/stores/lmdb/rows.ts';
import type { Harness } from '../harness.ts';
import { Pieces, pieces } from '../tools.ts';

const channel = 'a/b';
const epoch = '000000';
const seed = crcSeed(channel, epoch, epoch);
const key = Buffer.from('key');

/** Fields of a message, written and read; and the input itself as bytes that a disk gives back. */
export const harness: Harness = {
  name: 'lmdb-rows',
  inputBytesMax: 400,
  seeds: [
    pieces([0xff, 'id', 'text/plain', 'event', 'from', 'native', 2, 'name', 'value', 'n', ''], 'payload'),
    pieces([0, 'id', 'application/json', '', '', '', 0], ''),
    pieces([0x2a, '', 'é', '\u0000', '中', Buffer.from([0xff]), 1, '__proto__', 'x'], Buffer.from([0, 0xff])),
  ],
  run: (input) => {
    assert.equal(checkRecord(input, 0, seed), undefined, 'no chance bytes are a record');
    assert.equal(unseal(key, input), undefined, 'nor a row');
    const fields = new Pieces(input);
    const flags = fields.byte();
    const draft = {
      id: fields.text(),
      timeMs: 1_800_000_000_000 + flags,
      type: fields.text(),
      event: fields.optionalText(),
      from: fields.optionalText(),
      native: (flags & 1) === 0 ? undefined : fields.bytes(),
      headers: headersOf(fields),
      retain: (flags & 2) !== 0,
      expiresAtMs: (flags & 4) === 0 ? undefined : 1_900_000_000_000,
      payload: fields.rest(),
    };
    const message = new Message(
      channel,
      { epoch, seq: flags + 1, offset: 2 ** 40, tag: '9f3c0d4e5a6b7c8d' },
      draft,
    );
    const before = input.length % 7;
    const bytes = Buffer.alloc(before + recordBytes(draft), 0xee);
    // A ULID has 26 bytes, and the core limits types, so a record has no room for longer ones.
    if (Buffer.byteLength(draft.id) > 255) return false;
    assert.equal(writeRecord(bytes, before, message, seed), bytes.length, 'it is as long as was calculated');
    assert.equal(checkRecord(bytes, before, seed), bytes.length);
    assert.equal(seqOfRecord(bytes, before), message.seq);
    assert.deepEqual(
      readRecord(bytes, before, bytes.length, channel, epoch),
      message,
      'read is what was written',
    );
    assert.equal(checkRecord(bytes, before, seed + 1), undefined, 'a record of another channel is refused');

    // Any one bit that changes is noticed.
    const at = before + ((flags * 31 + input.length) % (bytes.length - before));
    bytes[at]! ^= 1 << (flags % 8);
    assert.equal(checkRecord(bytes, before, seed), undefined, 'damage is noticed');
    assert.deepEqual(unseal(key, seal(key, Buffer.from(input))), input);
    return true;
  },
};

function headersOf(fields: Pieces): ReadonlyMap<string, string> | undefined {
  const headers = new Map<string, string>();
  for (let count = fields.byte() % 5; count > 0; count -= 1) headers.set(fields.text(), fields.text());
  return headers.size === 0 ? undefined : headers;
}
