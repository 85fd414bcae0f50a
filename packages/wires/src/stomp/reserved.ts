/**
 * Headers of a MESSAGE that are the server's, or STOMP's. They are never stored as headers of a message: a reader sees
 * the server's values (T11). In lower case; compared without regard to case, because other wires have none.
 */
const reserved: ReadonlySet<string> = new Set([
  'ack',
  'content-length',
  'content-type',
  'destination',
  'event',
  'heart-beat',
  'message-id',
  'offset',
  'receipt',
  'receipt-id',
  'redelivered',
  'subscription',
  'timestamp',
  'transaction',
]);

export function isReserved(name: string): boolean {
  return reserved.has(name) || reserved.has(name.toLowerCase()) || /^everywire-/i.test(name);
}
