import { isUtf8 } from 'node:buffer';
import { buffer } from 'node:stream/consumers';
import { CommandError } from './exit.ts';
import { noteResourcePath, toCommandError } from './explain.ts';
import { write } from './output.ts';
import { readWhole, send } from './request.ts';
import { openSocket } from './socket.ts';
import { encodeChannel, parseTarget, type Target } from './target.ts';

export interface PublishOptions {
  readonly type?: string;
  readonly json?: boolean;
  readonly event?: string;
  /** `name=value` each. */
  readonly header?: readonly string[];
  readonly key?: string;
  readonly retain?: boolean;
  readonly ttl?: string;
}

interface Publication {
  readonly payload: Buffer;
  readonly type: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly options: PublishOptions;
}

const answerWithinMs = 30_000;

/** `everywire publish URL [data|-]`: publishes one message and prints its receipt, once the server has stored it. */
export async function publish(url: string, data: string | undefined, options: PublishOptions): Promise<void> {
  const target = parseTarget(url);
  noteResourcePath(target);
  const payload = await readPayload(data);
  const headers = new Map((options.header ?? []).map(parseHeader));
  const publication = { payload, type: chooseType(payload, options), headers, options };
  const publishBy = target.wire === 'websocket' ? publishBySocket : publishByPost;
  const receipt = await publishBy(target, publication).catch((error: unknown) => {
    throw toCommandError(error, target);
  });
  await write(`${receipt}\n`);
}

async function readPayload(data: string | undefined): Promise<Buffer> {
  if (data !== undefined && data !== '-') return Buffer.from(data);
  if (data === undefined && process.stdin.isTTY) {
    throw new CommandError('usage', 'Nothing to publish: give the data as an argument, or pipe it in.');
  }
  return buffer(process.stdin);
}

/** Nothing is guessed from how the payload looks beyond whether it is text. */
function chooseType(payload: Buffer, { type, json }: PublishOptions): string {
  if (type !== undefined) return type;
  if (json === true) return 'application/json';
  return isUtf8(payload) ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

function parseHeader(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError('usage', `--header is name=value, not ${text}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

async function publishByPost(
  target: Target,
  { payload, type, headers, options }: Publication,
): Promise<string> {
  const { event, key, retain, ttl } = options;
  const answer = await send(target, {
    method: 'POST',
    path: `/channels/${encodeChannel(target.channel)}`,
    headers: {
      'Content-Type': type,
      ...(event === undefined ? {} : { 'Everywire-Event': event }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
      ...(retain === true ? { 'Everywire-Retain': 'true' } : {}),
      ...(ttl === undefined ? {} : { 'Everywire-TTL': ttl }),
      ...Object.fromEntries([...headers].map(([name, value]) => [`Everywire-Meta-${name}`, value])),
    },
    body: payload,
    idleMs: answerWithinMs,
  });
  return readWhole(answer);
}

async function publishBySocket(
  target: Target,
  { payload, type, headers, options }: Publication,
): Promise<string> {
  const { event, key, retain, ttl } = options;
  const socket = await openSocket(target, AbortSignal.timeout(answerWithinMs));
  try {
    const answer = await socket.ask({
      op: 'publish',
      channel: target.channel,
      base64: payload.toString('base64'),
      type,
      event,
      key,
      retain,
      ttl,
      ...(headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }),
    });
    const { offset, cursor, message, time, duplicate } = answer;
    return JSON.stringify({ channel: target.channel, offset, cursor, id: message, time, duplicate });
  } finally {
    socket.close();
  }
}
