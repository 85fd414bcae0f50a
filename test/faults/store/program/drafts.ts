import type { Draft, Message } from '../../../../packages/server/src/core/log/message.ts';

/**
 * A value describes its message completely: its last part (`c3.p1.17.420`) is the length of the payload. So a reader of the
 * message can compute every byte that it must have.
 */
export function draftOf(value: string, id: string): Draft {
  const bytes = Number(value.slice(value.lastIndexOf('.') + 1));
  const kind = bytes % 4;
  return {
    id,
    timeMs: Date.now(),
    type: kind === 0 ? 'application/octet-stream' : 'text/plain',
    payload: payloadOf(value, bytes),
    event: kind === 1 ? `event-${value}` : undefined,
    headers: kind === 2 ? new Map([['value', value]]) : undefined,
    from: kind === 3 ? value : undefined,
    key: value,
  };
}

/** The value that a message was published as, or words that no publish has, when anything in it is wrong. */
export function valueOf(message: Message): string {
  const value = message.payload.toString('utf8', 0, message.payload.indexOf(0x7c));
  const expected = draftOf(value, message.id);
  const isExact =
    expected.payload.equals(message.payload) &&
    expected.type === message.type &&
    expected.event === message.event &&
    expected.from === message.from &&
    expected.headers?.get('value') === message.headers?.get('value');
  return isExact
    ? value
    : `WRONG BYTES at ${message.channel}#${message.offset}, which say ${value.slice(0, 64)}`;
}

/** `value|` and then the value again and again, up to `bytes`. */
function payloadOf(value: string, bytes: number): Buffer {
  const payload = Buffer.alloc(Math.max(bytes, value.length + 1), value);
  payload.write(`${value}|`);
  return payload;
}
