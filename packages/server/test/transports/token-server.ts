import type { Tokens } from '../../src/core/sessions/access.ts';
import type { Clock } from '../../src/core/clock.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { createTokenAccess, createTokens } from '../../src/auth/access.ts';
import { Revocations } from '../../src/auth/revocations.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import { createVerifier } from '../../src/auth/tokens/verifier.ts';
import type { ConfigInput } from '../../src/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { MemoryRecords } from '../../src/stores/memory/records.ts';
import { startTestServer, type TestServer } from '../../../../test/support/server.ts';
import { mint, testSecret, type MintedClaims } from '../../../../test/support/tokens.ts';

/** The machine's clock, which a test may put forward: what lies in between happens at the next timer. */
export class StepClock implements Clock {
  stepMs = 0;
  #callsLeft = 0;
  #stepByMs = 0;
  readonly monotonicMs = systemClock.monotonicMs.bind(systemClock);
  readonly after = systemClock.after.bind(systemClock);
  readonly turn = systemClock.turn.bind(systemClock);

  /** Steps when it is looked at for the `calls`th time from now: in the midst of something. */
  stepAt(calls: number, ms: number): void {
    this.#callsLeft = calls;
    this.#stepByMs = ms;
  }

  nowMs(): number {
    this.#callsLeft -= 1;
    if (this.#callsLeft === 0) this.stepMs += this.#stepByMs;
    return systemClock.nowMs() + this.stepMs;
  }
}

export interface TokenServer extends TestServer {
  readonly clock: StepClock;
  readonly tokens: Tokens;
  /** A server in its place, on the same keys and revocations. */
  again(config?: ConfigInput): Promise<TokenServer>;
}

/** A server that wants tokens, signed with the secret of tests, and whose tickets and revocations are at hand. */
export async function startTokenServer(config: ConfigInput = {}): Promise<TokenServer> {
  const records = new MemoryRecords();
  const clock = new StepClock();
  return start(config, { records, clock });
}

async function start(
  config: ConfigInput,
  kept: { readonly records: MemoryRecords; readonly clock: StepClock },
): Promise<TokenServer> {
  const { records, clock } = kept;
  const limits = defaultLimits;
  const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
  const revocations = new Revocations({ clock, limits, leewayMs: 0 });
  await revocations.load(records);
  const tickets = new Tickets({ clock, random: createSystemRandom(), limits });
  const verifier = createVerifier({ issuers: [{ secret: testSecret }], clock, log, limits });
  const access = createTokenAccess({ verifier, tickets, revocations, limits, clock });
  const server = await startTestServer(config, { access, clock });
  return {
    ...server,
    clock,
    tokens: createTokens({ tickets, revocations }),
    again: (next = config) => start(next, kept),
  };
}

function ignore(): void {
  // What is refused is the test's own doing.
}

/** A token that the server takes. */
export function token(claims: MintedClaims): Promise<string> {
  return mint(testSecret, claims);
}

/** `exp` of a token that is over in so many seconds. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds;
}
