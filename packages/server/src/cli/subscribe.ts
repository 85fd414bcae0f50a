import { Cut, Probe, Refused, Unreachable, type Arrival, type Start } from '@everywire/probes';
import {
  backoffMs,
  parseDurationMs,
  parseExactly,
  parseSince,
  payloadOf,
  readEnvelope,
} from '@everywire/protocol';
import { setTimeout as delay } from 'node:timers/promises';
import { chooseToken } from './credentials.ts';
import { CommandError } from './exit.ts';
import { noteResourcePath, portHint, toCommandError } from './explain.ts';
import { say, write } from './output.ts';
import { parseTarget, type UrlTarget } from './target.ts';
import { useTls, type TlsOptions } from './tls-client.ts';

export interface SubscribeOptions extends TlsOptions {
  /** End after that many messages. */
  readonly count?: number;
  /** End, as a failure, after that long. */
  readonly timeout?: string;
  readonly after?: string;
  readonly since?: string;
  readonly raw?: boolean;
  readonly token?: string;
}

const backoff = { minMs: 250, maxMs: 10_000 };

/** `everywire subscribe URL`: each message as a line of JSON on standard output, resumed by cursor after a cut. */
export async function subscribe(url: string, options: SubscribeOptions): Promise<void> {
  const target = { ...parseTarget(url), token: chooseToken(options.token), certificate: useTls(options) };
  const start = readStart(options);
  const timeoutMs = options.timeout === undefined ? undefined : parseDurationMs(options.timeout);
  if (options.timeout !== undefined && timeoutMs === undefined) {
    throw new CommandError(
      'usage',
      `--timeout is a length of time such as 500ms, 10s or 5m, not ${options.timeout}.`,
    );
  }
  noteResourcePath(target);
  const stop = new AbortController();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(), timeoutMs);
  const probe = new Probe(target, { signal: stop.signal });
  try {
    await follow({ probe, target, start, options, stop });
  } finally {
    clearTimeout(timer);
    probe.close();
  }
}

function readStart({ after, since }: SubscribeOptions): Start {
  if (after !== undefined && since !== undefined) {
    throw new CommandError('usage', 'Give either --after or --since, not both.');
  }
  if (since !== undefined) {
    try {
      parseSince(since, Date.now());
    } catch (cause) {
      throw new CommandError('usage', (cause as Error).message, cause);
    }
  }
  return { after, since };
}

interface Following {
  readonly probe: Probe;
  readonly target: UrlTarget;
  readonly start: Start;
  readonly options: SubscribeOptions;
  readonly stop: AbortController;
}

/** Reads until the count is reached, over as many connections as it takes. @throws CommandError */
async function follow({ probe, target, start, options, stop }: Following): Promise<void> {
  const countMax = options.count ?? Infinity;
  let from = start;
  let count = 0;
  let wasOpen = false;
  let failures = 0;
  for (;;) {
    let reason = 'the server ended the stream';
    let askedMs: number | undefined;
    try {
      for await (const arrival of probe.follow(target.channel, from)) {
        wasOpen = true;
        if (arrival.kind === 'gap') say(`gap: ${arrival.text}`);
        if (arrival.kind === 'message') {
          await write(options.raw === true ? toPayload(arrival.text) : `${arrival.text}\n`);
          count += 1;
          failures = 0;
        }
        from = moveTo(arrival, from);
        if (count >= countMax) return;
      }
    } catch (error) {
      if (stop.signal.aborted) throw timedOut(count, options);
      reason = explainEnd(error, target, wasOpen);
      askedMs = error instanceof Refused ? error.retryAfterMs : undefined;
    }
    failures += 1;
    const waitMs = backoffMs(failures, Math.random, backoff, askedMs);
    const place = from.after === undefined ? 'without a cursor yet' : `after ${from.after}`;
    say(`${reason}; resuming ${place} in ${Math.ceil(waitMs / 100) / 10} s`);
    await delay(waitMs, undefined, { signal: stop.signal }).catch(() => {
      throw timedOut(count, options);
    });
  }
}

function moveTo(arrival: Arrival, from: Start): Start {
  return arrival.kind === 'open' || arrival.cursor === undefined ? from : { after: arrival.cursor };
}

/** Why a connection ended, if a new one may succeed. @throws CommandError if it cannot */
function explainEnd(error: unknown, target: UrlTarget, wasOpen: boolean): string {
  if (error instanceof Cut) return wasOpen ? error.message : `${error.message}${portHint(target)}`;
  if (error instanceof Refused && error.isPassing && wasOpen) return error.message;
  if (error instanceof Unreachable && wasOpen) return error.message;
  throw toCommandError(error, target);
}

function timedOut(count: number, options: SubscribeOptions): CommandError {
  const wanted = options.count === undefined ? '' : ` of ${options.count}`;
  const { timeout = '' } = options;
  // A bare number is seconds.
  const length = /^[\d.]+$/.test(timeout) ? `${timeout} s` : timeout;
  return new CommandError('failed', `timed out after ${length} with ${count}${wanted} messages.`);
}

/** The payload alone: text and JSON with a line break behind it, other bytes as they are. */
function toPayload(text: string): Uint8Array {
  const envelope = readEnvelope(parseExactly(text));
  const payload = envelope && payloadOf(envelope);
  if (payload === undefined) throw new CommandError('failed', `that is not an envelope: ${text}`);
  return envelope!.base64 === undefined ? Buffer.concat([payload, Buffer.from('\n')]) : payload;
}
