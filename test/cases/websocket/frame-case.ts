import { clientFrame, closeFrame, continuation, textFrame } from '../../clients/websocket/client-frames.ts';

export interface DataFrame {
  readonly opcode: 1 | 2;
  readonly payload: Buffer;
}

/** Bytes after the handshake of a raw connection, whose channel echoes what was accepted. */
export interface FrameCase {
  /** Autobahn's number, or ours. */
  readonly id: string;
  readonly what: string;
  readonly send: Buffer;
  /** Data frames that come back, in order: the accepted ones. */
  readonly echoes: readonly DataFrame[];
  readonly pongs?: readonly Buffer[];
  /** Close code of the server; `undefined`: the connection stays open. */
  readonly close: number | undefined;
}

/** Whether the server gave up on the peer, so that nothing behind it is to be looked at. */
export const isFatal = ({ close }: FrameCase): boolean => close !== undefined;

export const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

export const text = (payload: string | Buffer): DataFrame => ({
  opcode: 1,
  payload: Buffer.from(payload as string),
});
export const binary = (payload: Buffer): DataFrame => ({ opcode: 2, payload });
export const ping = (payload: string | Buffer = ''): Buffer =>
  clientFrame({ opcode: 9, payload: Buffer.from(payload as string) });
export const pong = (payload = ''): Buffer => clientFrame({ opcode: 10, payload: Buffer.from(payload) });

export function closeWith(code?: number, reason: string | Buffer = ''): Buffer {
  if (code === undefined) return closeFrame(Buffer.alloc(0));
  const body = Buffer.alloc(2);
  body.writeUInt16BE(code);
  return closeFrame(Buffer.concat([body, Buffer.from(reason as string)]));
}

/** One message in frames of the given payloads. */
export function fragments(opcode: 1 | 2, parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.map((part, at) => {
      const isLast = at === parts.length - 1;
      if (at > 0) return continuation(part, isLast);
      return clientFrame({ opcode, payload: Buffer.from(part as string), fin: isLast });
    }),
  );
}

export const octets = (payload: Buffer): Buffer[] => [...payload].map((byte) => Buffer.of(byte));

export { clientFrame, closeFrame, continuation, textFrame };
