import { mint, testSecret, type MintedClaims } from '../../../../test/support/tokens.ts';
import { startTestServer, type TestServer } from '../../../../test/support/server.ts';
import type { ConfigInput } from '../../src/index.ts';

/** What tests of revocation wait for: it reaches everybody within 5 s. */
export const reachesWithinMs = 30_000;

/** A server that admits every token of `testSecret`. */
export class AuthServer {
  readonly server: TestServer;

  private constructor(server: TestServer) {
    this.server = server;
  }

  static async start(config: ConfigInput = {}): Promise<AuthServer> {
    const auth = { jwt: { secret: testSecret } };
    return new AuthServer(await startTestServer({ store: 'memory:', auth, ...config }));
  }

  get url(): string {
    return this.server.url;
  }

  /** As an administrator. */
  async ask(method: string, path: string, body?: unknown): Promise<Response> {
    const authorization = `Bearer ${await adminToken()}`;
    const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const sent = body === undefined ? null : JSON.stringify(body);
    const answer = await fetch(`${this.url}${path}`, { method, headers, body: sent });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  async publish(channel: string, payload: string): Promise<void> {
    await this.ask('POST', `/channels/${channel}`, payload);
  }

  async revoke(what: { readonly sub: string } | { readonly jti: string }): Promise<void> {
    await this.ask('POST', '/tokens/revoke', what);
  }

  stop(): Promise<void> {
    return this.server.stop();
  }
}

export function adminToken(): Promise<string> {
  return mint(testSecret, { sub: 'admin of tests', admin: true });
}

/** Of `sub`, with all rights but what the claims say. */
export function tokenOf(sub: string, claims: Omit<MintedClaims, 'sub'> = {}): Promise<string> {
  return mint(testSecret, { sub, subscribe: ['**'], publish: ['**'], ...claims });
}

/** The `exp` of a token that ends in so many seconds. */
export function inSeconds(seconds: number): number {
  return Date.now() / 1_000 + seconds;
}
