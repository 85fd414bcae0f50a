import { setTimeout as delay } from 'node:timers/promises';
import { asRecord, parseExactly } from '@everywire/protocol';
import { Cut, readWhole, Refused, send } from './request.ts';
import { encodeChannel, type Target } from '../target.ts';
import type { Arrival, Reader, Start } from '../reader.ts';

const pollEveryMs = 1_000;
const waitSeconds = 30;
const idleMs = 30_000;
const pageMax = 1_000;

/** Asks once a second. */
export const readByPolling: Reader = (target, start, signal) => readPages(target, start, signal, 0);

/** Asks, and the server answers when there is something. */
export const readByLongPolling: Reader = (target, start, signal) =>
  readPages(target, start, signal, waitSeconds);

async function* readPages(
  target: Target,
  start: Start,
  signal: AbortSignal,
  waitS: number,
): AsyncGenerator<Arrival, void, undefined> {
  let from: Start = start.after === undefined && start.since === undefined ? { since: 'latest' } : start;
  // The first answer does not wait, but tells where we stand: a wait that is cut would lose the place.
  let isFirst = true;
  for (;;) {
    const page = await readPage(target, from, signal, isFirst ? 0 : waitS);
    if (isFirst) yield { kind: 'open' };
    isFirst = false;
    for (const gap of page.gaps) yield { kind: 'gap', cursor: undefined, text: JSON.stringify(gap) };
    for (const message of page.messages) {
      const cursor = asRecord(message)?.['cursor'];
      if (typeof cursor !== 'string') throw new Cut('a message came without its cursor');
      yield { kind: 'message', cursor, text: JSON.stringify(message) };
    }
    yield { kind: 'position', cursor: page.cursor };
    from = { after: page.cursor };
    if (waitS === 0 && page.messages.length < pageMax) await delay(pollEveryMs, undefined, { signal });
  }
}

interface Page {
  readonly cursor: string;
  readonly messages: readonly unknown[];
  readonly gaps: readonly unknown[];
}

async function readPage(target: Target, from: Start, signal: AbortSignal, waitS: number): Promise<Page> {
  const query = new URLSearchParams({ limit: String(pageMax) });
  if (from.after !== undefined) query.set('after', from.after);
  else if (from.since !== undefined) query.set('since', from.since);
  if (waitS > 0) query.set('wait', `${waitS}s`);
  const answer = await send(target, {
    path: `/channels/${encodeChannel(target.channel)}?${query.toString()}`,
    headers: { Accept: 'application/json' },
    signal,
    idleMs: waitS * 1_000 + idleMs,
  });
  const page = asRecord(parseExactly(await readWhole(answer)));
  const messages: unknown = page?.['messages'];
  if (typeof page?.['cursor'] !== 'string' || !Array.isArray(messages)) {
    throw new Refused('the answer is not a page of messages; is this an Everywire server?', {});
  }
  // A second gap, of another channel of a filter, makes `gaps` appear beside `gap`.
  const { gap, gaps } = page;
  const missing: readonly unknown[] = Array.isArray(gaps) ? gaps : gap === undefined ? [] : [gap];
  return { cursor: page['cursor'], messages, gaps: missing };
}
