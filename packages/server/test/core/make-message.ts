import { Message, type Draft } from '../../src/core/log/message.ts';

/** A message at a place, for tests of pure code. */
export function makeMessage(
  given: Partial<Draft> & {
    channel?: string;
    seq?: number;
    offset?: number;
    tag?: string;
    epoch?: string;
  } = {},
): Message {
  const seq = given.seq ?? 1;
  return new Message(
    given.channel ?? 'demo',
    {
      epoch: given.epoch ?? 'epoch1',
      seq,
      offset: given.offset ?? seq,
      tag: given.tag ?? seq.toString(16).padStart(16, '0'),
    },
    {
      id: given.id ?? `ID${seq}`,
      timeMs: given.timeMs ?? Date.UTC(2026, 10, 21, 9, 0, 0, 123),
      type: given.type ?? 'text/plain',
      payload: given.payload ?? Buffer.from(`m${seq}`),
      event: given.event,
      headers: given.headers,
      from: given.from,
      retain: given.retain,
      expiresAtMs: given.expiresAtMs,
      native: given.native,
    },
  );
}
