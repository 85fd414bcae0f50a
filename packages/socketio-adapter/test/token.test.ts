import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Link } from '../src/link.ts';
import { checkOptions, type AdapterOptions, type Problem } from '../src/options.ts';
import { refreshInMs } from '../src/token.ts';
import { AuthServer, inSeconds, tokenOf } from '../../server/test/transports/auth-server.ts';

const patience = { timeout: 10_000, interval: 10 };
const text = (payload: string) => ({ payload: JSON.stringify(payload), event: undefined, meta: undefined });

describe('the link, where tokens are asked for', () => {
  let server: AuthServer;
  let link: Link | undefined;
  const problems: Problem[] = [];
  const heard: unknown[] = [];
  let readies = 0;

  beforeAll(async () => {
    server = await AuthServer.start();
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await link?.close();
    [problems.length, heard.length, readies] = [0, 0, 0];
  });

  function open(token: AdapterOptions['token']): Link {
    const onProblem = (problem: Problem): void => void problems.push(problem);
    link = new Link(checkOptions({ url: server.url, token, onProblem }), 'app/**', {
      message: ({ data }) => heard.push(data),
      ready: () => (readies += 1),
    });
    link.open();
    return link;
  }

  it('shows a token that stays the same', async () => {
    const opened = open(await tokenOf('app', { subscribe: ['app/**'], publish: ['app/**'] }));
    await opened.publish('app/a', text('in'));
    await expect.poll(() => heard, patience).toEqual(['in']);
    await expect(opened.publish('other', text('no'))).rejects.toThrow('forbidden');
    expect(problems).toEqual([]);
  });

  it('keeps its connection beyond the end of a token, by asking for the next one before', async () => {
    let asked = 0;
    const firstEnds = inSeconds(3);
    const opened = open(() => {
      asked += 1;
      return tokenOf('app', { exp: asked === 1 ? firstEnds : inSeconds(600) });
    });
    await expect.poll(() => readies, patience).toBe(1);
    // The server looks once a second which tokens have ended.
    await expect.poll(() => Date.now() / 1_000 > firstEnds + 1.5, patience).toBe(true);
    await opened.publish('app/a', text('later'));
    await expect.poll(() => heard, patience).toEqual(['later']);
    expect([asked, readies, problems]).toEqual([2, 1, []]);
  });

  it('comes back with another token when the one it has is revoked, and loses nothing', async () => {
    let jti = 'first';
    const opened = open(async () => tokenOf('app', { jti }));
    await expect.poll(() => readies, patience).toBe(1);
    await opened.publish('app/a', text('one'));
    jti = 'second';
    await server.revoke({ jti: 'first' });
    await server.publish('app/a', 'meanwhile');
    await expect.poll(() => heard, patience).toEqual(['one', 'meanwhile']);
    expect(problems.map(({ kind }) => kind)).toEqual(['unavailable']);
  });

  it('tells that there is no token, and comes when there is', async () => {
    let asked = 0;
    open(async () => {
      asked += 1;
      if (asked < 3) throw new Error('the issuer is away');
      return tokenOf('app');
    });
    await expect.poll(() => readies, patience).toBe(1);
    expect(problems).toMatchObject([
      {
        kind: 'unavailable',
        detail: 'Disconnected from Everywire: the token function failed. Reconnecting.',
      },
    ]);
  });
});

describe('the next token', () => {
  const token = (claims: object): string =>
    `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;

  it.each([
    [{ exp: 1_600 }, 540_000],
    [{ exp: 1_010 }, 8_000],
    [{ exp: 900 }, 0],
    [{ exp: 1e12 }, 2 ** 31 - 1],
    [{ exp: '1600' }, undefined],
    [{}, undefined],
  ])('of one with %j is asked for in %s ms', (claims, inMs) => {
    expect(refreshInMs(token(claims), 1_000_000)).toBe(inMs);
  });

  it.each(['', 'ewt_abc', 'a.b.c', 'a..c', `a.${Buffer.from('null').toString('base64url')}.c`])(
    'is not asked for after %j, which says nothing',
    (other) => {
      expect(refreshInMs(other, 0)).toBeUndefined();
    },
  );
});
