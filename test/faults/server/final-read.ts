import type { Envelope, Receipt } from '@everywire/protocol';
import type { HistoryChecker } from '../checker/checker.ts';
import type { Sighting } from '../checker/history.ts';
import { nowNs, sightingOf } from './hopping-reader.ts';

interface Page {
  readonly messages: readonly Envelope[];
  readonly cursor: string;
  readonly continuity: string;
}

/** Reads everything over polling, channel by channel and by the one wildcard, for the judge. Returns how much there is. */
export async function readAll(http: string, filter: string, checker: HistoryChecker): Promise<number> {
  const everything = await readWhole(http, filter);
  for (const channel of new Set(everything.map((message) => message.channel)))
    checker.finalRead({ channel, trimmedThrough: 0, messages: await readWhole(http, channel) });
  checker.finalReadOfAll(everything);
  return everything.length;
}

async function readWhole(http: string, filter: string): Promise<readonly Sighting[]> {
  const found: Sighting[] = [];
  for (let start = 'since=earliest'; ;) {
    const response = await fetch(`${http}/channels/${filter}?${start}&limit=1000`);
    if (!response.ok) throw new Error(`${filter} could not be read: ${await response.text()}`);
    const page = (await response.json()) as Page;
    if (page.continuity !== 'exact') throw new Error(`${filter} has a gap after ${start}`);
    if (page.messages.length === 0) return found;
    for (const envelope of page.messages) found.push(sightingOf(envelope));
    start = `after=${page.cursor}`;
  }
}

/** Publishes one message to `channel` and returns its cursor: the place before everything that comes after. */
export async function placeBeforeAll(
  http: string,
  channel: string,
  checker: HistoryChecker,
): Promise<string> {
  const value = 'the very first';
  checker.record({ kind: 'publish', atNs: nowNs(), client: 'first', channel, value });
  const headers = { 'content-type': 'text/plain' };
  const response = await fetch(`${http}/channels/${channel}`, { method: 'POST', headers, body: value });
  if (!response.ok) throw new Error(`the first message was refused: ${await response.text()}`);
  const { offset, cursor } = (await response.json()) as Receipt;
  checker.record({
    kind: 'accepted',
    atNs: nowNs(),
    ...sightingOf({ channel, offset, cursor, data: value }),
  });
  return cursor;
}
