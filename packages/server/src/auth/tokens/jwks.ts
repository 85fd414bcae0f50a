import { EverywireError } from '@everywire/protocol';
import type { Clock, Timer } from '../../core/clock.ts';
import type { AuthLimits } from '../limits.ts';
import type { Log } from '../../core/seams/log.ts';
import { FetchError, type FetchKeySet } from './fetch-key-set.ts';
import { readKeySet, type NamedKey } from './key-set.ts';
import { KeyError, type Algorithm, type KeySource, type VerificationKey } from './keys.ts';

export interface JwksOptions {
  /** The URL of the set, from the configuration: the server never takes a URL from a token. */
  readonly url: string;
  /** Use only keys for this algorithm; absent: for any supported one. */
  readonly algorithm?: Algorithm | undefined;
  readonly fetchKeySet: FetchKeySet;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Pick<
    AuthLimits,
    'keySetBytesMax' | 'keySetKeysMax' | 'keySetTimeoutMs' | 'keySetRefetchMs' | 'keySetRefreshMs'
  >;
}

/** The wait after the first failure while there is no key at all; doubled each time, up to `keySetRefetchMs`. */
const firstRetryMs = 1_000;
/** Keys that are tried for one token. Issuers have two or three at a time, while they change them. */
const keysTriedMax = 8;

/**
 * The keys of one issuer at one URL. Fetched when they are needed, again when they have become old, and when a token
 * names a key that is missing, but not more often than every `keySetRefetchMs`, so that tokens cannot cause more
 * requests. The last key set stays until a usable one arrives: an issuer that is down, or answers nonsense, locks out
 * no client.
 */
export class Jwks implements KeySource {
  readonly #options: JwksOptions;
  readonly #shownUrl: string;
  #keys: readonly NamedKey[] = [];
  #current: ReadonlySet<VerificationKey> = new Set();
  #fetchedAtMs = -Infinity;
  #mayFetchFromMs = -Infinity;
  #failures = 0;
  /** The last fetch brought no usable key set. */
  #hasFailed = false;
  #fetching: Promise<void> | undefined;
  #abort: AbortController | undefined;

  constructor(options: JwksOptions) {
    this.#options = options;
    const { origin, pathname } = new URL(options.url);
    this.#shownUrl = origin + pathname;
  }

  async find(algorithm: string, keyId: string | undefined): Promise<readonly VerificationKey[]> {
    const found = this.#lookUp(algorithm, keyId);
    if (found.length > 0) {
      this.#refreshIfOld();
      return found;
    }
    await this.#fetchIfAllowed();
    const fetched = this.#lookUp(algorithm, keyId);
    // The token may be good: the fault is not the client's, and passes.
    if (fetched.length === 0 && this.#hasFailed) throw unavailable();
    return fetched;
  }

  isCurrent(key: VerificationKey): boolean {
    this.#refreshIfOld();
    return this.#current.has(key);
  }

  /** Fetches before the first token comes, so that the log shows a broken URL at once. */
  start(): void {
    void this.#fetchIfAllowed();
  }

  /** Stops the running fetch, and starts no other. */
  stop(): void {
    this.#mayFetchFromMs = Infinity;
    this.#abort?.abort();
  }

  /** Without `kid`, all keys for that algorithm: each costs a verification, so a token has few of them tried. */
  #lookUp(algorithm: string, keyId: string | undefined): readonly VerificationKey[] {
    return this.#keys
      .filter((named) => named.key.algorithm === algorithm && (keyId === undefined || named.keyId === keyId))
      .slice(0, keysTriedMax)
      .map(({ key }) => key);
  }

  /** No caller waits for this fetch: the present keys stay valid meanwhile. */
  #refreshIfOld(): void {
    const { clock, limits } = this.#options;
    if (clock.monotonicMs() - this.#fetchedAtMs >= limits.keySetRefreshMs) void this.#fetchIfAllowed();
  }

  /** Waits for the running fetch, or starts one if it is time. Never rejects. */
  #fetchIfAllowed(): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#options.clock.monotonicMs() < this.#mayFetchFromMs) return Promise.resolve();
    this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    const { url, fetchKeySet, clock, log, limits } = this.#options;
    const abort = new AbortController();
    const timer: Timer = clock.after(limits.keySetTimeoutMs, () => abort.abort());
    this.#abort = abort;
    this.#mayFetchFromMs = clock.monotonicMs() + limits.keySetRefetchMs;
    try {
      const bytes = await fetchKeySet(url, { bytesMax: limits.keySetBytesMax, signal: abort.signal });
      this.#take(bytes);
    } catch (error) {
      if (this.#mayFetchFromMs === Infinity) return;
      this.#fail();
      log.warn(
        { url: this.#shownUrl, reason: describeFailure(error, abort.signal), keys: this.#keys.length },
        'the key set of an issuer could not be fetched; the last fetched keys are kept',
      );
    } finally {
      timer.cancel();
    }
  }

  #take(bytes: Buffer): void {
    const { algorithm, clock, log, limits } = this.#options;
    const { keys, ignored } = readKeySet(bytes, limits);
    const usable = keys.filter(({ key }) => algorithm === undefined || key.algorithm === algorithm);
    if (usable.length === 0) throw new KeyError(`the set has no key for ${algorithm}`);
    // An unchanged key stays the same object, so that the tokens verified with it stay remembered.
    this.#keys = usable.map((named) => this.#keys.find((known) => known.source === named.source) ?? named);
    this.#current = new Set(this.#keys.map(({ key }) => key));
    this.#fetchedAtMs = clock.monotonicMs();
    this.#failures = 0;
    this.#hasFailed = false;
    log.debug({ url: this.#shownUrl, keys: usable.length, ignored }, 'fetched the key set of an issuer');
  }

  #fail(): void {
    this.#hasFailed = true;
    if (this.#keys.length > 0) return;
    const { clock, limits } = this.#options;
    const waitMs = Math.min(limits.keySetRefetchMs, firstRetryMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#mayFetchFromMs = clock.monotonicMs() + waitMs;
  }
}

function unavailable(): EverywireError {
  return new EverywireError(
    'store_unavailable',
    'The keys of the issuer of the token cannot be fetched now. Try again later; the log of the server has the reason.',
    { title: 'The keys for tokens are unavailable.' },
  );
}

function describeFailure(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'no whole answer came in time';
  if (error instanceof FetchError || error instanceof KeyError) return error.message;
  const { code = 'unknown' } = error as NodeJS.ErrnoException;
  return `it cannot be reached (${code})`;
}

/**
 * Checks the URL of a key set: it must use https, or be on this machine. Returns the problem for the operator, or
 * `undefined`. The text never contains the URL, which may have a password in it.
 */
export function findUrlProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return 'is no URL';
  if (url.username !== '' || url.password !== '') return 'has a user name or password in it';
  if (url.protocol === 'https:') return undefined;
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  return url.protocol === 'http:' && isLocal ? undefined : 'is not by https';
}
