import { parseExactly } from '@everywire/protocol';
import { readPage, type Page } from '@everywire/protocol/http';
import { setTimeout as delay } from 'node:timers/promises';
import { Cut, Refused } from '../errors.ts';
import type { Arrival, Start } from '../session.ts';
import { encodeChannel } from '../target.ts';
import { startQuery, type Exchange, type HttpReader } from './exchange.ts';
import { readWhole } from './request.ts';

const pollEveryMs = 1_000;
const waitSeconds = 30;
const idleMs = 30_000;
const pageMax = 1_000;

/** Asks once a second. */
export const readByPolling: HttpReader = (exchange, channel, start) => readPages(exchange, channel, start, 0);

/** Long polling: the server answers when it has a message. */
export const readByLongPolling: HttpReader = (exchange, channel, start) =>
  readPages(exchange, channel, start, waitSeconds);

async function* readPages(
  exchange: Exchange,
  channel: string,
  start: Start,
  waitS: number,
): AsyncGenerator<Arrival, void, undefined> {
  let from: Start = start.after === undefined && start.since === undefined ? { since: 'latest' } : start;
  // The first request does not wait, so that its answer gives the reader a cursor: if a waiting request were cut, the
  // position would be lost.
  let isFirst = true;
  for (;;) {
    const page = await ask(exchange, channel, from, isFirst ? 0 : waitS);
    if (isFirst) yield { kind: 'open' };
    isFirst = false;
    for (const gap of page.gaps) yield { kind: 'gap', cursor: undefined, text: JSON.stringify(gap) };
    for (const message of page.messages) {
      yield { kind: 'message', cursor: message.cursor, text: JSON.stringify(message) };
    }
    yield { kind: 'position', cursor: page.cursor };
    from = { after: page.cursor };
    if (waitS === 0 && !page.more) await pauseOf(exchange.signal);
  }
}

/** @throws Cut when the session is closed meanwhile */
async function pauseOf(signal: AbortSignal): Promise<void> {
  await delay(pollEveryMs, undefined, { signal }).catch((cause: unknown) => {
    throw new Cut('this side closed the connection', { cause });
  });
}

async function ask(exchange: Exchange, channel: string, from: Start, waitS: number): Promise<Page> {
  const query = startQuery(from);
  query.set('limit', String(pageMax));
  if (waitS > 0) query.set('wait', `${waitS}s`);
  const answer = await exchange.send({
    path: `/channels/${encodeChannel(channel)}?${query.toString()}`,
    headers: { Accept: 'application/json' },
    idleMs: waitS * 1_000 + idleMs,
  });
  const page = readPage(parse(await readWhole(answer)));
  if (page === undefined)
    throw new Refused('the answer is not a page of messages; is this an Everywire server?');
  return page;
}

function parse(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
