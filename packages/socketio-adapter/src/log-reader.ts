import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, isPassing, parseRetryAfterMs, type Envelope } from '@everywire/protocol';
import { readPage, type Page } from '@everywire/protocol/http';
import { adapterLimits, type CheckedOptions } from './options.ts';
import { currentToken } from './token.ts';

interface ChannelList {
  readonly channels: readonly { readonly channel: string }[];
  readonly next?: string;
}

const pageMessages = 1_000;
const bounds = { minMs: adapterLimits.backoffMsMin, maxMs: adapterLimits.backoffMsMax };

/** Reads the log over HTTP: messages that a session missed, and the session records. */
export class LogReader {
  readonly #options: CheckedOptions;
  /** Clients that lost their connection together have the same cursor, so they share the answer. */
  readonly #pages = new Map<string, Promise<Page | undefined>>();
  #reading = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /**
   * All messages of `filter` after `cursor` and before the message at `end`. `undefined` when some of them are gone, when
   * there are too many, or when `cursor` is not before `end`.
   */
  async between(
    filter: string,
    cursor: string,
    end: string,
    signal: AbortSignal,
  ): Promise<Envelope[] | undefined> {
    const found: Envelope[] = [];
    let after = cursor;
    for (;;) {
      const page = await this.#page(filter, after, signal);
      if (page === undefined || page.continuity === 'gap' || page.messages.length === 0) return undefined;
      for (const message of page.messages) {
        if (message.cursor === end) return found;
        if (found.length >= adapterLimits.missedPacketsMax) return undefined;
        found.push(message);
      }
      after = page.cursor;
    }
  }

  /** The newest message of a channel. */
  async newest(channel: string, signal: AbortSignal): Promise<Envelope | undefined> {
    const page = await this.#get(`/channels/${pathOf(channel)}?since=last-1`, signal);
    return readPage(page)?.messages.at(-1);
  }

  async channels(
    filter: string,
    after: string | undefined,
    signal: AbortSignal,
  ): Promise<ChannelList | undefined> {
    const query = new URLSearchParams({ filter, limit: '100', ...(after === undefined ? {} : { after }) });
    return (await this.#get(`/channels?${query.toString()}`, signal)) as ChannelList | undefined;
  }

  async remove(channel: string, signal: AbortSignal): Promise<void> {
    await this.#ask('DELETE', `/channels/${pathOf(channel)}`, signal);
  }

  #page(filter: string, after: string, signal: AbortSignal): Promise<Page | undefined> {
    const path = `/channels/${pathOf(filter)}?limit=${pageMessages}&after=${encodeURIComponent(after)}`;
    // A caller that gives up must not end the read of the others.
    let page = this.#pages.get(path);
    if (page === undefined) {
      const signalOfAll = AbortSignal.timeout(adapterLimits.restoreTimeoutMs);
      page = this.#get(path, signalOfAll).then(readPage);
      this.#pages.set(path, page);
      const forget = (): void => void this.#pages.delete(path);
      page.then(forget, forget);
    }
    return until(page, signal);
  }

  /** `undefined` when the server refuses the request: an invalid cursor or name. */
  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const answer = await this.#ask('GET', path, signal);
    return answer.ok ? await answer.json() : undefined;
  }

  /** Repeats the request until the answer does not depend on the state of the server. @throws when `signal` aborts */
  async #ask(method: string, path: string, signal: AbortSignal): Promise<Response> {
    const { url } = this.#options;
    await this.#enter();
    try {
      for (let failures = 1; ; failures += 1) {
        signal.throwIfAborted();
        let retryAfterMs: number | undefined;
        try {
          const token = await currentToken(this.#options.token);
          const headers = token === undefined ? undefined : { Authorization: `Bearer ${token}` };
          const answer = await fetch(`${url}${path}`, { method, signal, ...(headers && { headers }) });
          if (!isPassing({ httpStatus: answer.status })) return answer;
          retryAfterMs = parseRetryAfterMs(answer.headers.get('retry-after') ?? undefined, Date.now());
          await answer.body?.cancel();
        } catch {
          // The server could not be reached, as during its restart.
        }
        await sleep(backoffMs(failures, Math.random, bounds, retryAfterMs), undefined, { signal });
      }
    } finally {
      this.#reading -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    while (this.#reading >= adapterLimits.readsMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#reading += 1;
  }
}

function pathOf(channel: string): string {
  return channel.split('/').map(encodeURIComponent).join('/');
}

function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
