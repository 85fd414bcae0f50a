import { expect, test } from 'vitest';
import { Batch } from '../../../src/core/log/batch.ts';
import { MessageFormats } from '../../../src/transports/stomp/message-formats.ts';
import type { MessageShape } from '../../../src/transports/stomp/format.ts';
import { makeMessage } from '../../core/make-message.ts';

const shape: MessageShape = {
  version: '1.2',
  link: 'websocket',
  spelling: { put: '/', strip: '' },
  id: 'sub-0',
  hasAck: false,
  isRedelivery: false,
};
const batch = (): Batch => new Batch([1, 2, 3].map((seq) => makeMessage({ seq })));

test('subscriptions with the same id are handed the same bytes', () => {
  const formats = new MessageFormats();
  const [first, second] = [formats.take(shape), formats.take({ ...shape })];
  expect(second).toBe(first);
  const shared = batch();
  expect(first.encode(shared)).toBe(second.encode(shared));
});

test('an id that only one has is encoded for it, with the same bytes, and a batch does not remember it', () => {
  const formats = new MessageFormats();
  const alone = formats.take(shape);
  const shared = batch();
  const bytes = alone.encode(shared);
  expect(alone.encode(shared)).not.toBe(bytes);
  formats.take(shape);
  expect(alone.encode(shared).equals(bytes)).toBe(true);
});

test('a batch remembers the bytes of 16 ids at most, and another one when these are gone', () => {
  const formats = new MessageFormats();
  const take = (id: string) => formats.take({ ...shape, id });
  const ids = Array.from({ length: 20 }, (_, at) => `sub-${at}`);
  const taken = ids.flatMap((id) => [take(id), take(id)]);
  expect(new Set(taken.filter(({ isRemembered }) => isRemembered)).size).toBe(16);
  for (const format of taken.slice(0, 8)) formats.release(format);
  const later = [take('later'), take('later')];
  expect(later[0]!.isRemembered).toBe(true);
});
