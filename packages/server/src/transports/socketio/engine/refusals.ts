import { STATUS_CODES } from 'node:http';

/** The refusals of Engine.IO, with the code in the body of the answer (engine.io `Server.errors`). */
export const refusals = {
  unknownTransport: { code: 0, message: 'Transport unknown' },
  unknownSid: { code: 1, message: 'Session ID unknown' },
  badMethod: { code: 2, message: 'Bad handshake method' },
  badRequest: { code: 3, message: 'Bad request' },
  forbidden: { code: 4, message: 'Forbidden' },
  unsupportedVersion: { code: 5, message: 'Unsupported protocol version' },
} as const;

export type Refusal = (typeof refusals)[keyof typeof refusals];

export function statusOf(refusal: Refusal): number {
  return refusal === refusals.forbidden ? 403 : 400;
}

/** A whole answer to a WebSocket handshake, for a socket without a response object. */
export function refusalBytes(refusal: Refusal): Buffer {
  const body = JSON.stringify(refusal);
  const status = statusOf(refusal);
  return Buffer.from(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]!}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
  );
}
