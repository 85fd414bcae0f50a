import { once } from 'node:events';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock } from '../../packages/server/src/runtime/clock.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { mint, testSecret, type MintedClaims } from '../support/tokens.ts';

/** Tokens on the HTTP family and WebSocket, by clients that other people wrote. */

let server: TestServer;
let adminToken: string;
/** Added to what the server takes for the time. */
let aheadMs = 0;

beforeAll(async () => {
  const clock = {
    nowMs: () => systemClock.nowMs() + aheadMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    after: systemClock.after.bind(systemClock),
    turn: systemClock.turn.bind(systemClock),
  };
  const auth = { jwt: { secret: testSecret, leewaySeconds: 0 } };
  // The server tells an EventSource to come back after this time.
  const limits = { retryAfterMs: 200 };
  server = await startTestServer({ auth, limits }, { clock });
  adminToken = await mint(testSecret, { sub: 'root', admin: true });
});
afterAll(() => server.stop());

let names = 0;
const freshName = (): string => `name${(names += 1)}`;
const nowSeconds = (): number => Date.now() / 1_000;
const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });
const ofAnn = (claims: MintedClaims = {}): Promise<string> =>
  mint(testSecret, { sub: 'ann', subscribe: ['**'], publish: ['**'], ...claims });

function ask(target: string, token?: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(token === undefined ? {} : bearer(token)), ...(init.headers as object) };
  return fetch(server.url + target, { ...init, headers });
}

async function ticketOf(token: string): Promise<string> {
  const made = await ask('/tickets', token, { method: 'POST' });
  expect(made.status).toBe(201);
  return ((await made.json()) as { readonly ticket: string }).ticket;
}

function openSocket(target: string, token?: string): WebSocket {
  const headers = token === undefined ? {} : bearer(token);
  return new WebSocket(server.url.replace('http', 'ws') + target, { headers });
}

async function closeOf(socket: WebSocket): Promise<string> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return `${code} ${reason.toString()}`;
}

/** The status with which a handshake was refused. */
function refusalOf(socket: WebSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (request, { statusCode }) => {
      resolve(statusCode!);
      request.destroy();
    });
    socket.on('open', () => reject(new Error('it was let in')));
  });
}

/** A connection of `everywire.v1`. */
class Commands {
  readonly socket: WebSocket;
  readonly frames: Record<string, unknown>[] = [];
  readonly closed: Promise<string>;
  #wake: () => void = () => undefined;
  #nextId = 1;

  constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = closeOf(socket);
    socket.on('message', (data: Buffer) => {
      this.frames.push(JSON.parse(data.toString()) as Record<string, unknown>);
      this.#wake();
    });
  }

  static async open(token: string): Promise<Commands> {
    const commands = new Commands(openSocket('/ws', token));
    await once(commands.socket, 'open');
    return commands;
  }

  async find(test: (frame: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.frames.find(test);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  ask(command: object): Promise<Record<string, unknown>> {
    const id = this.#nextId++;
    this.socket.send(JSON.stringify({ id, ...command }));
    return this.find((frame) => frame['id'] === id);
  }
}

interface Held {
  /** Settles when the server ends it, with the text that the peer received. */
  readonly ended: Promise<string>;
}

async function openStream(accept: string, target: string, token: string): Promise<Held> {
  const answer = await ask(target, token, { headers: { Accept: accept } });
  expect(answer.status).toBe(200);
  return { ended: answer.text() };
}

/** Ways to hold a connection open on a channel, and how the server reports the end of the token on each. */
const ways: Readonly<
  Record<string, { readonly open: (channel: string, token: string) => Promise<Held>; readonly told: RegExp }>
> = {
  'a long poll': {
    open: async (channel, token) => {
      const waiting = ask(`/channels/${channel}?wait=50s`, token).then(async (answer) => {
        const { code } = (await answer.json()) as { readonly code: string };
        return `${answer.status} ${code} ${answer.headers.get('www-authenticate')}`;
      });
      return { ended: waiting };
    },
    told: /^401 unauthorized Bearer error="invalid_token"$/,
  },
  'a stream': {
    open: (channel, token) => openStream('application/x-ndjson', `/channels/${channel}`, token),
    told: /^\n\{"error":\{[^\n]*"code":"unauthorized"[^\n]*\}\}\n$/,
  },
  'a stream of several filters': {
    open: (channel, token) =>
      openStream('application/x-ndjson', `/stream?channel=${channel}&channel=${channel}/*`, token),
    // Once, although each filter has a separate session.
    told: /^\n\{"error":\{[^\n]*"code":"unauthorized"[^\n]*\}\}\n$/,
  },
  SSE: {
    open: (channel, token) => openStream('text/event-stream', `/channels/${channel}`, token),
    told: /\n\nevent: everywire\.error\ndata: \{[^\n]*"code":"unauthorized"[^\n]*\}\n\n$/,
  },
  'raw WebSocket': {
    open: async (channel, token) => {
      const socket = openSocket(`/channels/${channel}`, token);
      await once(socket, 'open');
      return { ended: closeOf(socket) };
    },
    told: /^1008 unauthorized: /,
  },
  '/ws': {
    open: async (channel, token) => {
      const commands = await Commands.open(token);
      expect(await commands.ask({ op: 'subscribe', channel })).toMatchObject({ ok: true });
      return { ended: commands.closed };
    },
    told: /^1008 unauthorized: /,
  },
};

describe.concurrent.each(Object.entries(ways))('%s', (_, { open, told }) => {
  it('ends when its token does', async () => {
    const endsAtSeconds = nowSeconds() + 1;
    const held = await open(freshName(), await ofAnn({ exp: endsAtSeconds }));
    expect(await held.ended).toMatch(told);
    // Dates are taken to the millisecond.
    expect(nowSeconds()).toBeGreaterThan(endsAtSeconds - 0.002);
    expect(nowSeconds()).toBeLessThan(endsAtSeconds + 5);
  });

  it('ends when its token, or all of its subject, is revoked', async () => {
    const sub = freshName();
    const jti = `id of ${sub}`;
    for (const what of [{ jti }, { sub, exp: nowSeconds() + 3_600 }]) {
      const token = await ofAnn({ sub, jti });
      const bystander = freshName();
      const other = await open(bystander, await ofAnn({ sub: bystander, jti: bystander }));
      const mine = 'jti' in what ? token : await ofAnn({ sub, jti: 'another' });
      const held = await open(freshName(), mine);
      const revoked = await ask('/tokens/revoke', adminToken, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(what),
      });
      expect([revoked.status, await revoked.json()]).toEqual([200, { revoked: what }]);
      const revokedAtMs = Date.now();
      expect(await held.ended).toMatch(told);
      expect(Date.now() - revokedAtMs).toBeLessThan(30_000);
      expect((await ask('/channels/x', mine)).status).toBe(401);
      expect(await Promise.race([other.ended, Promise.resolve('open')])).toBe('open');
    }
  });
});

describe('a token', () => {
  it('says what may be read and published', async () => {
    const token = await ofAnn({ subscribe: ['open/**', '!open/secret'], publish: ['open/in'] });
    const post = { method: 'POST', body: 'x' };
    const remove = { method: 'DELETE' };
    const statusOf = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status;
    expect(await statusOf('/channels/open/a', token)).toBe(200);
    expect(await statusOf('/channels/open/**', token)).toBe(200);
    expect(await statusOf('/channels/open/secret', token)).toBe(403);
    expect(await statusOf('/channels/other', token)).toBe(403);
    expect(await statusOf('/channels/open/in', token, post)).toBe(201);
    expect(await statusOf('/channels/open/a', token, post)).toBe(403);
    expect(await statusOf('/channels/open/in', token, remove)).toBe(403);
    expect(await statusOf('/channels/open/in', adminToken, remove)).toBe(204);
  });

  it('says what is listed, page by page to the end', async () => {
    const base = freshName();
    const names = Array.from({ length: 9 }, (_, at) => `${base}/${at}/${at % 3 === 1 ? 'open' : 'secret'}`);
    for (const name of names) await ask(`/channels/${name}`, adminToken, { method: 'POST', body: 'x' });
    const token = await ofAnn({ subscribe: [`${base}/**`, `!${base}/*/secret`] });
    const listed: string[] = [];
    let next: string | undefined = '';
    while (next !== undefined) {
      const answer: Response = await ask(`/channels?filter=${base}/**&limit=2&after=${next}`, token);
      const page = (await answer.json()) as { channels: { channel: string }[]; next?: string };
      listed.push(...page.channels.map(({ channel }) => channel));
      next = page.next;
    }
    expect(listed).toEqual([1, 4, 7].map((at) => `${base}/${at}/open`));
    expect((await ask('/channels', token)).status).toBe(403);
  });

  it('is needed for everything but health, documents and the page', async () => {
    const targets = ['/channels/x', '/channels', '/stream?channel=x', '/webhooks', '/channels/x?wait=1s'];
    for (const target of targets) {
      const answer = await ask(target);
      expect([target, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        target,
        401,
        'Bearer',
      ]);
    }
    for (const target of ['/livez', '/readyz', '/metrics', '/openapi.json', '/', '/problems/unauthorized'])
      expect([target, (await ask(target)).status]).toEqual([target, 200]);
    expect(await refusalOf(openSocket('/ws'))).toBe(401);
    expect(await refusalOf(openSocket('/channels/x'))).toBe(401);
  });

  it('has private answers, which no cache gives to another client', async () => {
    const page = await ask('/channels/own?since=earliest', await ofAnn());
    expect(page.headers.get('cache-control')).toBe('private, no-cache');
    expect(page.headers.get('vary')).toBe('Accept, Origin, Authorization, Cookie');
    for (const target of ['/channels/own', '/channels/own?wait=1ms']) {
      const again = await ask(target, await ofAnn());
      expect(again.headers.get('cache-control')).toBe('no-store');
      expect(again.headers.get('vary')).toContain('Authorization');
    }
  });

  it('is not looked for in an address', async () => {
    const token = await ofAnn();
    for (const name of ['token', 'access_token'])
      expect((await ask(`/channels/x?${name}=${token}`)).status).toBe(401);
  });

  it('that is bad has another answer than a missing one', async () => {
    const answer = await ask('/channels/x', await ofAnn({ exp: nowSeconds() - 1 }));
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer error="invalid_token"',
    ]);
    const denied = await ask('/channels/x', await ofAnn({ subscribe: [] }));
    expect([denied.status, denied.headers.get('www-authenticate')]).toEqual([
      403,
      'Bearer error="insufficient_scope"',
    ]);
  });
});

describe('the metrics', () => {
  it('are for administrators where the configuration says so', async () => {
    const config = { auth: { jwt: { secret: testSecret } }, metrics: { access: 'admin' } } as const;
    const closed = await startTestServer(config);
    try {
      const statusFor = async (headers: Record<string, string>): Promise<number> =>
        (await fetch(`${closed.url}/metrics`, { headers })).status;
      expect(await statusFor({})).toBe(401);
      expect(await statusFor(bearer(await ofAnn()))).toBe(403);
      expect(await statusFor(bearer(adminToken))).toBe(200);
    } finally {
      await closed.stop();
    }
  });
});

describe('auth on /ws', () => {
  it('carries a connection beyond the end of its first token', async () => {
    const endsAtSeconds = nowSeconds() + 1;
    const channel = freshName();
    const commands = await Commands.open(await ofAnn({ exp: endsAtSeconds }));
    await commands.ask({ op: 'subscribe', channel });
    expect(await commands.ask({ op: 'auth', token: await ofAnn() })).toMatchObject({ ok: true });
    // Another one of the first token's end shows when that has come.
    const held = await ways['/ws']!.open(channel, await ofAnn({ exp: endsAtSeconds }));
    await held.ended;
    await ask(`/channels/${channel}`, adminToken, { method: 'POST', body: 'still here' });
    await commands.find((frame) => frame['op'] === 'message');
    commands.socket.close();
  });

  it('refuses what is bad or of another subject, and stays with what it had', async () => {
    const commands = await Commands.open(await ofAnn());
    const answers = [
      [await ofAnn({ exp: nowSeconds() - 5 }), 'unauthorized'],
      ['nonsense', 'unauthorized'],
      [await ofAnn({ sub: 'bob' }), 'forbidden'],
    ];
    for (const [token, code] of answers)
      expect(await commands.ask({ op: 'auth', token })).toMatchObject({ ok: false, error: { code } });
    expect(await commands.ask({ op: 'publish', channel: 'x', data: 1 })).toMatchObject({ ok: true });
    commands.socket.close();
  });

  it('ends the subscriptions that the new token does not allow, with the reason, and no others', async () => {
    const [kept, lost] = [freshName(), freshName()];
    const commands = await Commands.open(await ofAnn());
    for (const channel of [kept, lost]) await commands.ask({ op: 'subscribe', channel });
    const less = await ofAnn({ subscribe: [kept] });
    expect(await commands.ask({ op: 'auth', token: less })).toMatchObject({ ok: true });
    expect(await commands.find((frame) => frame['op'] === 'ended')).toMatchObject({
      channel: lost,
      error: { code: 'forbidden' },
    });
    expect(await commands.ask({ op: 'unsubscribe', channel: lost })).toMatchObject({
      error: { code: 'not_found' },
    });
    for (const channel of [lost, kept])
      await ask(`/channels/${channel}`, adminToken, { method: 'POST', body: channel });
    expect(await commands.find((frame) => frame['op'] === 'message')).toMatchObject({ channel: kept });
    expect(await commands.ask({ op: 'subscribe', channel: lost })).toMatchObject({
      error: { code: 'forbidden' },
    });
    commands.socket.close();
  });
});

describe('a ticket', () => {
  it('opens one handshake, of any kind, and no second one', async () => {
    const token = await ofAnn({ subscribe: ['mine'] });
    const tickets = await Promise.all(Array.from({ length: 3 }, () => ticketOf(token)));
    const [forEvents, forSocket, forRead] = tickets;
    const events = await ask(`/channels/mine?ticket=${forEvents}`, undefined, {
      headers: { Accept: 'text/event-stream' },
    });
    expect(events.status).toBe(200);
    await events.body!.cancel();
    const socket = openSocket(`/channels/mine?ticket=${forSocket}`);
    await once(socket, 'open');
    socket.terminate();
    expect((await ask(`/channels/mine?ticket=${forRead}`)).status).toBe(200);
    for (const ticket of tickets) {
      expect((await ask(`/channels/mine?ticket=${ticket}`)).status).toBe(401);
      expect(await refusalOf(openSocket(`/ws?ticket=${ticket}`))).toBe(401);
    }
    expect((await ask('/channels/mine?ticket=')).status).toBe(401);
    expect((await ask('/channels/mine?ticket=ewt_guess')).status).toBe(401);
  });

  it('has the rights of its token', async () => {
    const ticket = await ticketOf(await ofAnn({ subscribe: ['mine'] }));
    expect((await ask(`/channels/yours?ticket=${ticket}`)).status).toBe(403);
  });

  it('of a subject does not go with the token of another', async () => {
    const ticket = await ticketOf(await ofAnn());
    expect((await ask(`/channels/x?ticket=${ticket}`, await ofAnn({ sub: 'bob' }))).status).toBe(401);
  });

  it('is worth nothing after half a minute', async () => {
    const [inTime, late] = [await ticketOf(await ofAnn()), await ticketOf(await ofAnn())];
    aheadMs = 29_000;
    try {
      expect((await ask(`/channels/x?ticket=${inTime}`)).status).toBe(200);
      aheadMs = 31_000;
      expect((await ask(`/channels/x?ticket=${late}`)).status).toBe(401);
    } finally {
      aheadMs = 0;
    }
  });

  it('ends what it opened when its token ends', async () => {
    const ticket = await ticketOf(await ofAnn({ exp: nowSeconds() + 1 }));
    const socket = openSocket(`/channels/x?ticket=${ticket}`);
    await once(socket, 'open');
    expect(await closeOf(socket)).toMatch(/^1008 unauthorized: /);
  });
});

describe('the npm package eventsource', () => {
  it('receives the end of its token, comes back by itself, and then gives up', async () => {
    const ticket = await ticketOf(await ofAnn({ exp: nowSeconds() + 1 }));
    const source = new EventSource(`${server.url}/channels/x?ticket=${ticket}`);
    const told = new Promise<unknown>((resolve) =>
      source.addEventListener('everywire.error', ({ data }) => resolve(JSON.parse(data as string))),
    );
    const refused = new Promise<number | undefined>((resolve) =>
      source.addEventListener('error', ({ code }) => {
        if (source.readyState === EventSource.CLOSED) resolve(code);
      }),
    );
    expect(await told).toMatchObject({ code: 'unauthorized', status: 401 });
    expect(await refused).toBe(401);
  });
});
