/**
 * Headers of a MESSAGE that belong to the server or to STOMP. The server never stores them as headers of a message: a
 * reader sees the server's values (T11). They are in lower case and compared without case, because names on other wires
 * have no case.
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
