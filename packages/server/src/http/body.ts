import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { EverywireError } from '@everywire/protocol';
import type { Clock } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import { HttpRefusal } from './problem.ts';

export interface BodyOptions {
  readonly bytesMax: number;
  readonly limits: Pick<HttpLimits, 'bodyBytesPerSecondMin' | 'handshakeTimeoutMs'>;
  readonly clock: Clock;
}

const decoders: ReadonlyMap<
  string,
  (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>
> = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
]);

const empty = Buffer.alloc(0);
const wasRead = Symbol('the whole body was read');

interface Readable extends IncomingMessage {
  [wasRead]?: boolean;
}

/**
 * Reads a request's body into one Buffer and undoes its `Content-Encoding`.
 * @throws EverywireError `too_large` before or after decoding, `timed_out` when it comes too slowly, `unsupported` for
 * an unknown coding, `malformed` for a broken one
 */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  const decode = decoderOf(request.headers['content-encoding']);
  const bytes = await collect(request, options);
  if (decode === undefined || bytes.length === 0) return bytes;
  try {
    // The limit holds during decompression, so a compressed bomb never unfolds (T22).
    return await decode(bytes, { maxOutputLength: options.bytesMax });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(options.bytesMax);
    throw new EverywireError('malformed', 'The body does not match its Content-Encoding.', { cause });
  }
}

function decoderOf(coding: string | undefined): ReturnType<typeof decoders.get> {
  const name = coding?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity' || name === '') return undefined;
  const decoder = decoders.get(name);
  if (decoder !== undefined) return decoder;
  throw new HttpRefusal('unsupported', 'Content-Encoding must be gzip, deflate or absent.', {
    // RFC 9110 §12.5.3 and RFC 7694 §3.
    headers: { 'Accept-Encoding': 'gzip, deflate' },
  });
}

function collect(request: IncomingMessage, options: BodyOptions): Buffer | Promise<Buffer> {
  return wholeBody(request, options.bytesMax) ?? collectChunks(request, options);
}

/**
 * A body that came in one read with its head, like most bodies: it needs no listener and no timer. Node sets `complete`
 * a little later, in the same turn.
 */
function wholeBody(request: IncomingMessage, bytesMax: number): Buffer | undefined {
  const length = request.readableLength;
  if (length === 0 || length !== Number(request.headers['content-length'])) return undefined;
  if (request.httpVersionMajor !== 1 || request.readableFlowing !== null) return undefined;
  if (length > bytesMax) throw tooLarge(bytesMax);
  const bytes = request.read() as Buffer;
  (request as Readable)[wasRead] = true;
  // Without this, Node would keep the request until the connection ends.
  request.resume();
  return bytes;
}

/** Whether all of the body has been read; Node may not have said so yet. */
export function isBodyRead(request: IncomingMessage): boolean {
  return request.complete || (request as Readable)[wasRead] === true;
}

function collectChunks(request: IncomingMessage, { bytesMax, limits, clock }: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let bytesAtLook = 0;
    const look = (): void => {
      const windowMs = limits.handshakeTimeoutMs;
      if (bytes - bytesAtLook < (limits.bodyBytesPerSecondMin * windowMs) / 1_000) {
        stop(new EverywireError('timed_out', 'The request body arrived too slowly.'));
        return;
      }
      bytesAtLook = bytes;
      timer = clock.after(windowMs, look);
    };
    let timer = clock.after(limits.handshakeTimeoutMs, look);
    const stop = (error: EverywireError | undefined): void => {
      timer.cancel();
      request.off('data', take).off('end', finish).off('close', lose).off('error', lose);
      if (error === undefined) {
        resolve(
          chunks.length === 1 ? chunks[0]! : chunks.length === 0 ? empty : Buffer.concat(chunks, bytes),
        );
        return;
      }
      request.on('error', () => request.destroy());
      reject(error);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > bytesMax) stop(tooLarge(bytesMax));
      else chunks.push(chunk);
    };
    const finish = (): void => stop(undefined);
    const lose = (): void =>
      stop(new EverywireError('malformed', 'The connection ended before the end of the body.'));
    request.on('data', take).on('end', finish).on('close', lose).on('error', lose);
  });
}

function tooLarge(bytesMax: number): EverywireError {
  return new EverywireError('too_large', `A body has at most ${bytesMax} bytes here.`);
}
