import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MintedClaims } from '../../../../../test/support/tokens.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { startTokenServer, token, type TokenServer } from '../token-server.ts';
import { everything, shows, type ConnectOptions } from './auth-clients.ts';
import { RawClient } from '../../../../../test/clients/mqtt/raw-client.ts';

/** How many sessions one subject may make the broker keep, of those that all subjects share (T34). */
const most = 3;
const limits = { sessionsPerSubjectMax: most };

/** Also what return code 3 of 3.1.1 is read as. */
const quotaExceeded = { 4: 0x88, 5: 0x97 } as const;

interface Asked extends MintedClaims {
  readonly clientId: string;
  readonly version?: 4 | 5;
  readonly isKept?: boolean;
  readonly cleanStart?: boolean;
  readonly will?: ConnectOptions['will'];
}

/** A client and the reason code of its CONNACK. */
async function connect(server: TokenServer, asked: Asked) {
  const { clientId, version = 5, isKept = true, cleanStart = !isKept, will, ...claims } = asked;
  const { client, connack } = await RawClient.connected(server.mqtt!, {
    version,
    clientId,
    cleanStart,
    will,
    properties: version === 5 && isKept ? { sessionExpiryIntervalSeconds: 3_600 } : {},
    ...shows(await token(claims)),
  });
  return { client, code: connack.reasonCode, isPresent: connack.sessionPresent };
}

/** The reason code of the CONNACK, when the connection is gone again. */
async function codeOf(server: TokenServer, asked: Asked): Promise<number> {
  const { client, code } = await connect(server, asked);
  client.cut();
  await client.closed;
  return code;
}

const names = Array.from({ length: most }, (_, at) => `kept ${at}`);

/** Clients that stay: a session that is away would make room for another. */
const here: RawClient[] = [];
afterEach(() => {
  for (const client of here.splice(0)) client.cut();
});

/** The reason code of the CONNACK; the client stays. */
async function stay(server: TokenServer, asked: Asked): Promise<number> {
  const { client, code } = await connect(server, asked);
  here.push(client);
  return code;
}

async function fill(server: TokenServer, asked: Omit<Asked, 'clientId'>): Promise<void> {
  for (const clientId of names) expect(await stay(server, { ...asked, clientId })).toBe(0);
}

describe('a subject that has as many sessions as it may', () => {
  let server: TokenServer;
  beforeAll(async () => {
    server = await startTokenServer({ store: 'memory:', limits });
  });
  afterAll(() => server.stop());

  describe.each([4, 5] as const)('version %d', (version) => {
    const eve = { sub: `eve ${version}`, version };

    test('is refused another, and has those that it has; one that ends makes room', async () => {
      await fill(server, eve);
      const one = { ...eve, clientId: 'one more' };
      expect(await codeOf(server, one)).toBe(quotaExceeded[version]);
      expect(await codeOf(server, { ...one, isKept: false })).toBe(0);
      // Taken over while it is open, it is the same place.
      expect(await stay(server, { ...eve, clientId: names[0]! })).toBe(0);
      await here[0]!.closed;
      expect(await codeOf(server, one)).toBe(quotaExceeded[version]);
      expect(await codeOf(server, { ...eve, clientId: names[1]!, isKept: false })).toBe(0);
      expect(await stay(server, one)).toBe(0);
      expect(await codeOf(server, { ...one, clientId: 'two more' })).toBe(quotaExceeded[version]);
    });

    test('loses the session that is away for longest to another one, and takes none of other subjects', async () => {
      const bob = { ...eve, sub: `away ${version}` };
      await fill(server, bob);
      for (const client of here.splice(0)) {
        client.cut();
        await client.closed;
      }
      const other = { ...eve, sub: `other ${version}` };
      await fill(server, other);
      expect(await codeOf(server, { ...other, clientId: 'one more' })).toBe(quotaExceeded[version]);
      const come = async (clientId: string) => {
        const { client, isPresent } = await connect(server, { ...bob, clientId });
        here.push(client);
        return isPresent;
      };
      expect(await come(names[0]!)).toBe(true);
      expect(await come('one more')).toBe(false);
      expect(await come(names[2]!)).toBe(true);
    });

    test('takes nothing from another, not even by the same client ids, nor from administrators', async () => {
      const full = { ...eve, sub: `full ${version}` };
      await fill(server, full);
      await fill(server, { ...eve, sub: `bob ${version}` });
      const root = { sub: `root ${version}`, admin: true, version };
      await fill(server, root);
      expect(await stay(server, { ...root, clientId: 'one more' })).toBe(0);
      // The sessions of an administrator are not counted for the same subject without the right.
      const plain = { sub: `root ${version}`, version, clientId: 'two more' };
      expect(await codeOf(server, plain)).toBe(quotaExceeded[version]);
    });

    test('has no more when all of them come before the first is written', async () => {
      const isOver = Promise.withResolvers<undefined>();
      const write = Reflect.get(MemoryRecords.prototype, 'write');
      const held = vi.spyOn(MemoryRecords.prototype, 'write').mockImplementation(async function (
        this: MemoryRecords,
        writes,
      ) {
        await isOver.promise;
        await write.call(this, writes);
      });
      const codes: number[] = [];
      const come = Array.from({ length: 4 * most }, async (_, at) => {
        codes.push(await codeOf(server, { ...eve, sub: `crowd ${version}`, clientId: `at once ${at}` }));
        if (codes.length === 3 * most) isOver.resolve(undefined);
      });
      await Promise.all(come).finally(() => {
        isOver.resolve(undefined);
        held.mockRestore();
      });
      expect(codes.slice(0, 3 * most)).toEqual(Array<number>(3 * most).fill(quotaExceeded[version]));
      expect(codes.slice(3 * most)).toEqual(Array<number>(most).fill(0));
    });
  });

  test('may leave a will beside them, and another session when one has expired', async () => {
    const eve = { sub: 'mourned', ...everything };
    const will = {
      topic: 'eve/gone',
      payload: Buffer.from('gone'),
      qos: 1,
      retain: false,
      properties: { willDelayIntervalSeconds: 60 },
    } as const;
    const { client: reader } = await connect(server, {
      sub: 'reader',
      ...everything,
      clientId: 'reader',
      isKept: false,
    });
    await reader.subscribe('eve/#');
    const { client: brief, connack } = await RawClient.connected(server.mqtt!, {
      clientId: 'brief',
      cleanStart: false,
      will,
      properties: { sessionExpiryIntervalSeconds: 1 },
      ...shows(await token(eve)),
    });
    expect(connack.reasonCode).toBe(0);
    for (const clientId of names.slice(1)) expect(await stay(server, { ...eve, clientId })).toBe(0);
    const mourned = { ...eve, clientId: 'mourned', will };
    expect(await codeOf(server, mourned)).toBe(quotaExceeded[5]);
    const { client: unkept, code: unkeptCode } = await connect(server, { ...mourned, isKept: false });
    expect(unkeptCode).toBe(0);
    unkept.disconnect();
    brief.cut();
    // The end of the session is that of the will's delay.
    expect(await reader.texts(1)).toEqual(['gone']);
    const { client, code } = await connect(server, mourned);
    expect(code).toBe(0);
    for (const one of [client, reader]) one.disconnect();
  });
});

test('a server that is started anew knows whose sessions it keeps', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-shares-'));
  const first = await startTokenServer({ store: `lmdb:${folder}`, limits });
  try {
    await fill(first, { sub: 'eve' });
    await fill(first, { sub: 'root', admin: true });
    await first.stop();
    const second = await first.again();
    const one = { sub: 'eve', clientId: 'one more' };
    await fill(second, { sub: 'eve' });
    expect(await codeOf(second, one)).toBe(quotaExceeded[5]);
    expect(await codeOf(second, { ...one, sub: 'bob' })).toBe(0);
    expect(await codeOf(second, { ...one, sub: 'root', admin: true })).toBe(0);
    expect(await stay(second, { sub: 'eve', clientId: names[2]! })).toBe(0);
    expect(await codeOf(second, { sub: 'eve', clientId: names[0]!, isKept: false })).toBe(0);
    expect(await stay(second, one)).toBe(0);
    expect(await codeOf(second, { ...one, clientId: 'two more' })).toBe(quotaExceeded[5]);
    await second.stop();
    // Fewer than it has: it continues with what it has.
    const third = await second.again({ store: `lmdb:${folder}`, limits: { sessionsPerSubjectMax: 1 } });
    for (const clientId of ['one more', names[1]!, names[2]!])
      expect(await stay(third, { sub: 'eve', clientId })).toBe(0);
    expect(await codeOf(third, { sub: 'eve', clientId: 'two more' })).toBe(quotaExceeded[5]);
    await third.stop();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
