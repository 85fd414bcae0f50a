import { expect } from 'vitest';
import { publishByPost } from '../../drivers/http.ts';
import {
  Refused,
  type Addresses,
  type Answer,
  type Outgoing,
  type Publisher,
  type Reader,
  type Received,
  type TransportDriver,
} from '../../drivers/driver.ts';
import type { ConfigInput } from '../../../packages/server/src/index.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { mint, testSecret, type MintedClaims } from '../../support/tokens.ts';

export const text = (payload: string): Outgoing => ({ payload: Buffer.from(payload), type: 'text/plain' });

/** A server that wants tokens, and what its operator does. */
export class SecuredServer {
  readonly #server: TestServer;
  readonly #adminToken: string;

  private constructor(server: TestServer, adminToken: string) {
    this.#server = server;
    this.#adminToken = adminToken;
  }

  static async start(limits: ConfigInput['limits'] = {}): Promise<SecuredServer> {
    const auth = { jwt: { secret: testSecret } };
    const server = await startTestServer({ store: 'memory:', auth, limits });
    return new SecuredServer(server, await mint(testSecret, { sub: 'root', admin: true }));
  }

  /** The addresses for a client with that token. */
  as(token: string): Addresses {
    const { url, mqtt, stomp, grpc } = this.#server;
    return { url, mqtt, stomp, grpc, token, adminToken: this.#adminToken };
  }

  get asAdmin(): Addresses {
    return this.as(this.#adminToken);
  }

  async revoke(what: { readonly sub: string } | { readonly jti: string }): Promise<void> {
    const response = await fetch(`${this.#server.url}/tokens/revoke`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.#adminToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(what),
    });
    expect(response.status).toBe(200);
  }

  /** Publishes as the operator does, and so that it is retained. */
  async retain(channel: string, payload: string): Promise<void> {
    const response = await fetch(`${this.#server.url}/channels/${channel}`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${this.#adminToken}`,
        'Content-Type': 'text/plain',
        'Everywire-Retain': 'true',
      },
      body: payload,
    });
    expect(response.status).toBe(201);
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

/** One square of the matrix: a transport, and channels and subjects of which no other square knows. */
export class Cell {
  readonly driver: TransportDriver;
  readonly base: string;
  readonly #server: SecuredServer;

  constructor(server: SecuredServer, rule: string, driver: TransportDriver) {
    this.#server = server;
    this.driver = driver;
    this.base = `${rule}/${driver.name}`.replaceAll(' ', '-');
  }

  /** A subject of this square. */
  subject(name: string): string {
    return `${name} of ${this.base}`.replaceAll(/[^\w.]/g, '-');
  }

  /** The addresses for a client whose token has these claims, and no other rights. */
  async as(claims: MintedClaims): Promise<Addresses> {
    return this.#server.as(await mint(testSecret, { sub: this.subject('ann'), ...claims }));
  }

  get operator(): SecuredServer {
    return this.#server;
  }

  publish(channel: string, payload: string): Promise<Answer> {
    return publishByPost(this.#server.asAdmin, channel, text(payload));
  }

  /** What the log has, as the operator sees it. */
  async stored(filter: string): Promise<readonly Stored[]> {
    const { url, token } = this.#server.asAdmin;
    const path = filter.split('/').map(encodeURIComponent).join('/');
    const all: Stored[] = [];
    // A page has a bound in bytes too.
    for (let from = 'since=earliest'; ;) {
      const response = await fetch(`${url}/channels/${path}?${from}&limit=1000`, {
        headers: { Authorization: `Bearer ${token!}` },
      });
      const page = (await response.json()) as {
        readonly messages: readonly Stored[];
        readonly cursor: string;
      };
      if (page.messages.length === 0) return all;
      all.push(...page.messages);
      from = `after=${page.cursor}`;
    }
  }
}

/** A message of the log; text has `data`. */
export interface Stored {
  readonly channel: string;
  readonly data?: unknown;
  readonly from?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asserts that the server refused that, with the code as far as this transport can say it. */
export async function expectRefused(
  { driver }: Cell,
  attempt: Promise<unknown>,
  code: string | RegExp,
  what = '',
): Promise<void> {
  const caught = await attempt.then(
    () => new Error('it was granted'),
    (error: unknown) => error as Error,
  );
  const codes = driver.codeOfRefusals?.is ?? (typeof code === 'string' ? new RegExp(`^${code}$`) : code);
  if (!(caught instanceof Refused)) throw new Error(`${what}: ${caught.message}`, { cause: caught });
  expect(caught.code, `${what}: ${caught.said}`).toMatch(codes);
}

/** Asserts the state of the connection after a refusal; if it is open, publishes over it. */
export async function expectStateAfterRefusal(
  { driver }: Cell,
  publisher: Publisher,
  publishLater: (publisher: Publisher) => Promise<unknown>,
): Promise<void> {
  if (driver.refusedPublisher === 'is closed') {
    await expect.poll(() => publisher.isOpen).toBe(false);
    return;
  }
  await publishLater(publisher);
  expect(publisher.isOpen).toBe(true);
}

export async function take(reader: Reader, count: number): Promise<Received[]> {
  const taken: Received[] = [];
  while (taken.length < count) taken.push(await reader.next());
  return taken;
}

export const payloadsOf = (messages: readonly Received[]): string[] =>
  messages.map(({ payload }) => payload.toString());

/** Polls and webhooks have their own position, but a group has one for all its members. */
export const joinsGroups = ({ name }: TransportDriver): boolean =>
  !/poll$|^webhook$/.test(name) || name.startsWith('socket.io');

/** Takes all deliveries until the reader ends. */
export class Pump {
  readonly received: { readonly text: string; readonly atMs: number }[] = [];
  readonly reader: Reader;
  /** Resolves with the goodbye, and when it came. */
  readonly ended: Promise<{ readonly said: string; readonly atMs: number }>;

  constructor(reader: Reader) {
    this.reader = reader;
    this.ended = reader.goodbye.then((said) => ({ said, atMs: Date.now() }));
    void this.#run();
  }

  get texts(): readonly string[] {
    return this.received.map(({ text: one }) => one);
  }

  async until(payload: string): Promise<void> {
    await expect.poll(() => this.texts).toContain(payload);
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const { payload } = await this.reader.next();
        this.received.push({ text: payload.toString(), atMs: Date.now() });
      }
    } catch {
      // It has ended; `goodbye` tells why.
    }
  }
}
