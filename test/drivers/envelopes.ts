import type { Envelope } from '@everywire/protocol';
import type { From, Received } from './driver.ts';

/** A message of the contract as the suites compare it: the payload as bytes, whichever member carried it. */
export function fromEnvelope(envelope: Envelope): Received {
  const { channel, offset, cursor, type, event, headers, data, base64 } = envelope;
  let payload: Buffer;
  if (base64 !== undefined) payload = Buffer.from(base64, 'base64');
  else if (/^application\/(.*\+)?json/.test(type)) payload = Buffer.from(JSON.stringify(data));
  else payload = Buffer.from(data as string);
  return { channel, offset, cursor, payload, type, event, headers };
}

export function queryOf(from: From | undefined, more: Readonly<Record<string, string>> = {}): string {
  return new URLSearchParams({ ...from, ...more }).toString();
}

/** The path of a channel or filter, each level percent-encoded. */
export function pathOf(name: string): string {
  return `/channels/${name.split('/').map(encodeURIComponent).join('/')}`;
}
