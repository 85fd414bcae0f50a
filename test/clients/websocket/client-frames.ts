import { randomBytes } from 'node:crypto';

export interface ClientFrame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly fin?: boolean;
  /** RSV1–3 as the three bits behind FIN. */
  readonly rsv?: number;
  readonly masked?: boolean;
  /** Writes the length in this many bytes, whether needed or not. */
  readonly lengthBytes?: 1 | 2 | 8;
  /** Announces another length than the payload has. */
  readonly announce?: number;
}

/** A frame as a client writes it (RFC 6455 §5.2), with every way to get it wrong. Independent of the server's code. */
export function clientFrame(frame: ClientFrame): Buffer {
  const { opcode, payload, fin = true, rsv = 0, masked = true } = frame;
  const length = frame.announce ?? payload.length;
  const lengthBytes = frame.lengthBytes ?? (length < 126 ? 1 : length < 65536 ? 2 : 8);
  const start = Buffer.alloc(2 + (lengthBytes === 1 ? 0 : lengthBytes));
  start[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  start[1] = (masked ? 0x80 : 0) | (lengthBytes === 1 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) start.writeUInt16BE(length, 2);
  if (lengthBytes === 8) start.writeBigUInt64BE(BigInt(length), 2);
  if (!masked) return Buffer.concat([start, payload]);
  const mask = randomBytes(4);
  const body = Buffer.from(payload.map((byte, at) => byte ^ mask[at % 4]!));
  return Buffer.concat([start, mask, body]);
}

export const textFrame = (text: string | Buffer, fin = true): Buffer =>
  clientFrame({ opcode: 1, payload: Buffer.from(text as string), fin });
export const continuation = (payload: string | Buffer, fin: boolean): Buffer =>
  clientFrame({ opcode: 0, payload: Buffer.from(payload as string), fin });
export const closeFrame = (body: Buffer): Buffer => clientFrame({ opcode: 8, payload: body });
