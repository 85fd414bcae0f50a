import { isUtf8 } from 'node:buffer';
import { shapeOfType } from '@everywire/protocol';

/** What a wire without envelopes says of a message. */
export interface Parts {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  readonly payload: Buffer;
  readonly event?: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly from?: string | undefined;
}

/** The envelope as a line of JSON. A payload that is JSON is spliced in as it came; line breaks in it become spaces. */
export function envelopeLine({ payload, timeMs, headers, event, from, ...parts }: Parts): string {
  const { channel, offset, cursor, id, type } = parts;
  const head = {
    channel,
    offset,
    cursor,
    id,
    time: new Date(timeMs).toISOString(),
    ...(event === undefined ? {} : { event }),
    type,
  };
  const tail = {
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
    ...(from === undefined ? {} : { from }),
  };
  const rest = JSON.stringify(tail).slice(1);
  return `${JSON.stringify(head).slice(0, -1)},${payloadMember(type, payload)}${rest === '}' ? rest : `,${rest}`}`;
}

function payloadMember(type: string, payload: Buffer): string {
  const shape = isUtf8(payload) ? shapeOfType(type) : 'binary';
  if (shape === 'json') return `"data":${payload.toString().replace(/[\r\n]/g, ' ')}`;
  if (shape === 'text') return `"data":${JSON.stringify(payload.toString())}`;
  return `"base64":"${payload.toString('base64')}"`;
}

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const timeDigits = 10;

/** The time that a message's id, a ULID, begins with: that of the message. */
export function timeOfId(id: string): number {
  let timeMs = 0;
  for (const letter of id.slice(0, timeDigits)) timeMs = timeMs * 32 + Math.max(0, crockford.indexOf(letter));
  return timeMs;
}
