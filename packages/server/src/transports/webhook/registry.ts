import { EverywireError, formatCursor, toEverywireError, parseFrom } from '@everywire/protocol';
import { checkSecret, createSecret } from '@everywire/wires/webhook';
import { DurableSessions } from '../../core/durable/durable-sessions.ts';
import type { Message } from '../../core/log/message.ts';
import type { Identity } from '../../core/sessions/access.ts';
import type { Session } from '../../core/seams/session-api.ts';
import { Endpoint, signedHeaders } from './endpoint.ts';
import type { ParkedRow } from './parked-channels.ts';
import { keptIdentity, webhookKind, type WebhookRow } from './row.ts';
import type { Attempt, Sender } from './sender.ts';
import type { TargetRules } from './targets.ts';
import { challengeBody, hasChallenge, testBody, type DeliveryFormat } from './format.ts';
import type { WebhookState } from './figures.ts';
import type { WebhookHost } from './limits.ts';
import { inOneShotSession } from '../../core/sessions/one-shot-session.ts';

export interface RegistryOptions {
  readonly host: WebhookHost;
  readonly sender: Sender;
  readonly rules: TargetRules;
  /** Ask a new endpoint whether it wants to be called. Those that the operator has named are not asked. */
  readonly verify: boolean;
  readonly retryDelaysMs: readonly number[];
}

export interface WebhookRequest {
  readonly url: string;
  readonly filter: string;
  readonly since?: string | undefined;
  readonly after?: string | undefined;
  readonly secret?: string | undefined;
  readonly format?: DeliveryFormat | undefined;
}

export interface WebhookChange {
  readonly url?: string | undefined;
  readonly secret?: string | undefined;
  readonly format?: DeliveryFormat | undefined;
  readonly paused?: boolean | undefined;
}

/** The public view of a webhook, without its secret. */
export interface WebhookView {
  readonly id: string;
  readonly url: string;
  readonly filter: string;
  readonly format: DeliveryFormat;
  readonly state: 'active' | 'failing' | 'paused';
  readonly pausedBecause: 'asked' | 'gone' | 'unauthorized' | null;
  /** When its token expires and the webhook pauses; null: never. */
  readonly expires: string | null;
  readonly cursor: string;
  /** Messages after the cursor; counted up to `lagCountedMax`. Null without permission to read them. */
  readonly lag: number | null;
  readonly failures: number;
  readonly lastError: string | null;
  readonly nextAttempt: string | null;
  /** Parked channels, in which a message fails, each with its own position. */
  readonly parked: readonly {
    readonly channel: string;
    readonly cursor: string;
    readonly failures: number;
    readonly lastError: string | null;
    readonly nextAttempt: string | null;
  }[];
  readonly lastGap: object | null;
  readonly created: string;
}

/** The last date that JavaScript has (ECMA-262, Time Values and Time Range). */
const dateMsMax = 8.64e15;
/** The lag is counted up to this number: to read more of the log costs more than the figure is worth. */
export const lagCountedMax = 1_000;
/** How long an old secret still signs after it was replaced. */
const rotationMs = 24 * 3_600_000;
/** How many webhooks start in parallel when the server starts. */
const startedTogetherMax = 1_000;

/** The webhooks of this store, and the operations on them. Refusals are `EverywireError`. */
export class WebhookRegistry {
  readonly #options: RegistryOptions;
  readonly #sessions: DurableSessions<WebhookRow>;
  readonly #endpoints = new Map<string, Endpoint>();
  /** The subjects of webhooks that are being registered, which takes as long as their endpoints take to answer. */
  readonly #making: (string | undefined)[] = [];

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#sessions = new DurableSessions(webhookKind(options.host.limits), options.host.hub.durable);
  }

  get size(): number {
    return this.#endpoints.size;
  }

  states(): Readonly<Record<WebhookState, number>> {
    const counts = { active: 0, failing: 0, paused: 0 };
    for (const { state } of this.#endpoints.values()) counts[state] += 1;
    return counts;
  }

  /** The age of the oldest message that one of them has not delivered. */
  lagMs(): number {
    const nowMs = this.#options.host.clock.nowMs();
    let oldestMs = nowMs;
    for (const { oldestWaitingMs } of this.#endpoints.values())
      oldestMs = Math.min(oldestMs, oldestWaitingMs ?? nowMs);
    return nowMs - oldestMs;
  }

  /** Resumes all webhooks at their positions. */
  async start(): Promise<void> {
    await this.#sessions.start();
    for (let after: string | undefined; ;) {
      const page = await this.#sessions.list(after, startedTogetherMax);
      const found = page.sessions.map(({ state }) => this.#endpointOf(state));
      await Promise.all(found.map((endpoint) => endpoint.open(this.#sessions)));
      for (const endpoint of found) this.#endpoints.set(endpoint.row.id, endpoint);
      const atWork = found.filter(({ row }) => row.paused === undefined);
      await Promise.all(atWork.map((endpoint) => endpoint.startOrRetry()));
      if (page.next === undefined) return;
      after = page.next;
    }
  }

  /** Sends nothing new; resolves when the endpoints have answered the running attempts, and the results are stored. */
  async stop(): Promise<void> {
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.leave()));
    await this.#sessions.stop();
  }

  async create(
    identity: Identity,
    request: WebhookRequest,
  ): Promise<{ readonly id: string; readonly secret: string }> {
    const { host, rules, verify } = this.#options;
    const { subject } = identity;
    this.#checkCount(subject);
    const url = rules.check(request.url);
    const secret =
      request.secret === undefined
        ? createSecret((count) => host.random.hex(count))
        : checkSecret(request.secret);
    const from = parseFrom(request, host.clock.nowMs());
    const row: WebhookRow = {
      id: `wh_${host.random.hex(12)}`,
      url: url.href,
      filter: request.filter,
      format: request.format ?? 'envelope',
      secrets: [secret],
      subject,
      runsAs: keptIdentity(identity),
      createdMs: host.clock.nowMs(),
      failures: 0,
    };
    this.#making.push(subject);
    try {
      // Before the endpoint is called: a subject without the right to read must not make the server call other machines.
      await this.#checkRight(identity, row.filter);
      if (verify && !rules.isNamed(url)) await this.#verify(row);
    } finally {
      this.#making.splice(this.#making.indexOf(subject), 1);
    }
    const endpoint = this.#endpointOf(row);
    this.#endpoints.set(row.id, endpoint);
    try {
      await endpoint.open(this.#sessions);
      await endpoint.start(from ?? { since: { kind: 'latest' } });
    } catch (caught) {
      this.#endpoints.delete(row.id);
      endpoint.giveUp();
      throw caught;
    }
    return { id: row.id, secret };
  }

  /** A page of them, by id, after the id `after`: each lag is counted by reading the log. */
  async list(identity: Identity, after: string | undefined, limit: number): Promise<readonly WebhookView[]> {
    const mine = [...this.#endpoints.values()]
      .filter(({ row }) => maySee(identity, row) && (after === undefined || row.id > after))
      .sort((left, right) => (left.row.id < right.row.id ? -1 : 1));
    return Promise.all(mine.slice(0, limit).map((endpoint) => this.#view(identity, endpoint)));
  }

  async show(identity: Identity, id: string): Promise<WebhookView> {
    return this.#view(identity, this.#find(identity, id));
  }

  async change(identity: Identity, id: string, change: WebhookChange): Promise<WebhookView> {
    const { host, rules, verify } = this.#options;
    const endpoint = this.#find(identity, id);
    const { row } = endpoint;
    const url = change.url === undefined ? undefined : rules.check(change.url);
    const secret = change.secret === undefined ? undefined : checkSecret(change.secret);
    // A subject that resumes it, or changes its URL, needs the right to read its messages.
    const isTakenOver = change.paused === false || url !== undefined;
    if (isTakenOver) await this.#checkRight(identity, row.filter);
    if (url !== undefined && url.href !== row.url && verify && !rules.isNamed(url)) {
      await this.#verify({ ...row, url: url.href });
    }
    const paused =
      change.paused === undefined ? row.paused : change.paused ? (row.paused ?? 'asked') : undefined;
    await endpoint.change({
      ...(url === undefined ? {} : { url: url.href }),
      ...(change.format === undefined ? {} : { format: change.format }),
      ...(secret === undefined || secret === row.secrets[0]
        ? {}
        : { secrets: [secret, row.secrets[0]!], rotationEndsMs: host.clock.nowMs() + rotationMs }),
      ...(isTakenOver ? { runsAs: keptIdentity(identity) } : {}),
      paused,
      // The operator of a repaired endpoint wants to see the result at once.
      failures: 0,
      nextAttemptMs: undefined,
      ...(paused === undefined ? { lastError: undefined } : {}),
    });
    return this.#view(identity, endpoint);
  }

  /** Moves the position to `after` or `since`: delivers messages again, or skips some. */
  async rewind(
    identity: Identity,
    id: string,
    to: { readonly after?: string | undefined; readonly since?: string | undefined },
  ): Promise<WebhookView> {
    const endpoint = this.#find(identity, id);
    const from = parseFrom(to, this.#options.host.clock.nowMs());
    if (from === undefined) throw new EverywireError('invalid', 'Give either after or since, not both.');
    await endpoint.moveTo(from);
    return this.#view(identity, endpoint);
  }

  /** Leaves out the message that keeps `channel` set aside. */
  async skip(identity: Identity, id: string, channel: string): Promise<WebhookView> {
    const endpoint = this.#find(identity, id);
    await endpoint.skip(channel);
    return this.#view(identity, endpoint);
  }

  async remove(identity: Identity, id: string): Promise<void> {
    const endpoint = this.#find(identity, id);
    this.#endpoints.delete(id);
    try {
      await endpoint.remove();
    } catch (caught) {
      this.#endpoints.set(id, endpoint);
      throw caught;
    }
  }

  /** Sends one signed message that is in no channel, now, in any state. */
  async test(identity: Identity, id: string): Promise<Attempt> {
    const { row } = this.#find(identity, id);
    return this.#post(row, (messageId, nowMs) => testBody(messageId, nowMs));
  }

  async #verify(row: WebhookRow): Promise<void> {
    const challenge = this.#options.host.random.hex(16);
    const attempt = await this.#post(row, (id, nowMs) => challengeBody(id, nowMs, challenge), true);
    if (attempt.kind === 'taken' && hasChallenge(attempt.body, challenge)) return;
    const reason = attempt.kind === 'failed' ? attempt.reason : 'The answer does not contain the challenge.';
    throw new EverywireError(
      'invalid',
      `The endpoint did not give back the challenge that it was sent. ${reason}`,
      { pointers: ['/url'] },
    );
  }

  #post(row: WebhookRow, bodyOf: (id: string, nowMs: number) => Buffer, wantsBody = false): Promise<Attempt> {
    const { host, sender } = this.#options;
    const nowMs = host.clock.nowMs();
    const id = `msg_${host.random.hex(12)}`;
    const body = bodyOf(id, nowMs);
    const headers = {
      'Content-Type': 'application/json',
      'Everywire-Webhook': row.id,
      ...signedHeaders(row, id, nowMs, body),
    };
    return sender.post({ url: new URL(row.url), headers, body, wantsBody });
  }

  async #checkRight(identity: Identity, filter: string): Promise<void> {
    await this.#inSession(identity, (session) => session.channels(filter, undefined, 1));
  }

  async #view(identity: Identity, endpoint: Endpoint): Promise<WebhookView> {
    const { row, state, cursor, place, parked } = endpoint;
    const attemptsMs = [row, ...parked].flatMap(({ nextAttemptMs }) => nextAttemptMs ?? []);
    const expiresAtMs = row.runsAs?.claims?.expiresAtMs;
    return {
      id: row.id,
      url: row.url,
      filter: row.filter,
      format: row.format,
      state,
      pausedBecause: row.paused ?? null,
      expires:
        expiresAtMs === undefined || expiresAtMs > dateMsMax ? null : new Date(expiresAtMs).toISOString(),
      cursor,
      lag: await this.#lagOf(identity, row.filter, place, parked),
      failures: Math.max(row.failures, ...parked.map(({ failures }) => failures)),
      lastError:
        row.lastError ?? parked.findLast(({ lastError }) => lastError !== undefined)?.lastError ?? null,
      nextAttempt: attemptsMs.length === 0 ? null : new Date(Math.min(...attemptsMs)).toISOString(),
      parked: parked.map(({ channel, cursor: after, failures, lastError, nextAttemptMs }) => ({
        channel,
        cursor: after,
        failures,
        lastError: lastError ?? null,
        nextAttempt: nextAttemptMs === undefined ? null : new Date(nextAttemptMs).toISOString(),
      })),
      lastGap: row.lastGap ?? null,
      created: new Date(row.createdMs).toISOString(),
    };
  }

  async #lagOf(
    identity: Identity,
    filter: string,
    cursor: string,
    parked: readonly ParkedRow[],
  ): Promise<number | null> {
    try {
      return await this.#inSession(identity, async (session) => {
        const aside = new Map(parked.map((row) => [row.channel, row]));
        // The position of the rest is behind them, or will be soon.
        const isOfRest = ({ channel, seq }: Message): boolean => seq > (aside.get(channel)?.throughSeq ?? -1);
        let count = await countBehind(session, filter, cursor, isOfRest);
        for (const row of parked) {
          if (count >= lagCountedMax) break;
          const isLeft = ({ offset, seq }: Message): boolean => offset >= row.offset && seq <= row.throughSeq;
          count += await countBehind(session, row.channel, row.cursor, isLeft);
        }
        return Math.min(count, lagCountedMax);
      });
    } catch (caught) {
      if (toEverywireError(caught).code === 'forbidden') return null;
      throw caught;
    }
  }

  /** @throws EverywireError `quota_exceeded` */
  #checkCount(subject: string | undefined): void {
    const { webhooksMax, webhooksInAllMax } = this.#options.host.limits;
    const subjects = [...[...this.#endpoints.values()].map(({ row }) => row.subject), ...this.#making];
    if (subjects.filter((other) => other === subject).length >= webhooksMax)
      throw new EverywireError('quota_exceeded', `One subject has at most ${webhooksMax} webhooks.`);
    if (subjects.length >= webhooksInAllMax)
      throw new EverywireError('quota_exceeded', `There are at most ${webhooksInAllMax} webhooks.`);
  }

  /** The webhook of another subject does not exist for this one, so that its id reveals nothing. */
  #find(identity: Identity, id: string): Endpoint {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined || !maySee(identity, endpoint.row)) {
      throw new EverywireError('not_found', 'The webhook does not exist.');
    }
    return endpoint;
  }

  #endpointOf(row: WebhookRow): Endpoint {
    const { host, sender, retryDelaysMs } = this.#options;
    return new Endpoint(row, {
      host,
      sender,
      retryDelaysMs,
      openSession: ({ subject, runsAs = { subject, isAdmin: false } }, sink) => {
        host.hub.checkCurrent(runsAs);
        return host.hub.open(runsAs, { transport: 'webhook' }, sink);
      },
    });
  }

  #inSession<T>(identity: Identity, use: (session: Session) => Promise<T>): Promise<T> {
    return inOneShotSession(this.#options.host.hub, { transport: 'webhook', identity }, use);
  }
}

/** Messages of `filter` behind `cursor` that are still to be delivered, counted up to `lagCountedMax`. */
async function countBehind(
  session: Session,
  filter: string,
  cursor: string,
  isLeft: (message: Message) => boolean,
): Promise<number> {
  let count = 0;
  let place = cursor;
  // A page also has a limit of bytes.
  for (;;) {
    const page = await session.read(filter, { after: place }, lagCountedMax - count);
    count += page.messages.filter(isLeft).length;
    if (!page.more || count >= lagCountedMax) return count;
    place = formatCursor(page.through);
  }
}

function maySee(identity: Identity, row: WebhookRow): boolean {
  return identity.isAdmin || (identity.subject !== undefined && identity.subject === row.subject);
}
