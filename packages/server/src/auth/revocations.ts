import { createHash } from 'node:crypto';
import { EverywireError } from '@everywire/protocol';
import type { Identity, Revocable } from '../core/sessions/access.ts';
import type { Clock } from '../core/clock.ts';
import type { AuthLimits } from './limits.ts';
import type { RecordStore } from '../core/seams/store.ts';
import { decodeRevocation, encodeRevocation, type Revocation } from './revocation-record.ts';

const table = 'auth-revocations';
const rowsPerPage = 1_000;
/** The longest name (`jti`) of a token; a longer one could not be remembered in bounded memory. */
const nameBytesMax = 255;

export interface RevocationsOptions {
  readonly clock: Clock;
  readonly limits: Pick<AuthLimits, 'revocationsMax'>;
  /** How far ahead of our clock the clock of a token issuer may be. */
  readonly leewayMs: number;
}

type IsHit = (identity: Identity) => boolean;

/** All revocations: in the store, and all of them in memory, since every handshake asks for them. */
export class Revocations {
  readonly #clock: Clock;
  readonly #countMax: number;
  readonly #leewayMs: number;
  readonly #bySubject = new Map<string, Revocation>();
  readonly #byTokenId = new Map<string, Revocation>();
  readonly #listeners: ((isHit: IsHit) => void)[] = [];
  #records: RecordStore | undefined;
  /** One write after the other, so that a later one of the same subject is the one that stays. */
  #writing: Promise<void> = Promise.resolve();

  constructor({ clock, limits, leewayMs }: RevocationsOptions) {
    this.#clock = clock;
    this.#countMax = limits.revocationsMax;
    this.#leewayMs = leewayMs;
  }

  /**
   * Reads the revocations of earlier runs; the store is open. @throws Error for the operator when a row cannot be read:
   * without it a revoked client would be admitted again
   */
  async load(records: RecordStore): Promise<void> {
    for (let after: string | undefined; ;) {
      const rows = await records.list(table, '', after, rowsPerPage);
      for (const { key, value } of rows) {
        const revocation = decodeRevocation(value);
        if (revocation === undefined)
          throw new Error(`The revocation ${key} in the store cannot be read by this version.`);
        this.#remember(revocation);
      }
      if (rows.length < rowsPerPage) break;
      after = rows.at(-1)!.key;
    }
    this.#records = records;
  }

  isRevoked({ subject, claims }: Identity): boolean {
    const bySubject = subject === undefined ? undefined : this.#bySubject.get(subject);
    if (bySubject !== undefined && this.#isFrom(claims?.issuedAtMs, bySubject)) return true;
    return claims?.tokenId !== undefined && this.#byTokenId.has(claims.tokenId);
  }

  /** Adds a listener that is called for each revocation once it is durable. */
  onAdded(listener: (isHit: IsHit) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Resolves once it is durable and the listeners have returned.
   * @throws EverywireError `invalid`, `quota_exceeded`, `store_unavailable`
   */
  add(what: Revocable): Promise<void> {
    const added = this.#writing.then(() => this.#add(what));
    this.#writing = added.catch(() => undefined);
    return added;
  }

  async #add(what: Revocable): Promise<void> {
    if (this.#records === undefined) throw new EverywireError('store_unavailable', 'The server is starting.');
    const revocation: Revocation = { ...checked(what), revokedAtMs: this.#clock.nowMs() };
    await this.#forgetOld(this.#records);
    const size = this.#bySubject.size + this.#byTokenId.size;
    if (size >= this.#countMax && !this.#isKnown(revocation)) {
      throw new EverywireError(
        'quota_exceeded',
        `Revocation limit reached (${this.#countMax}). Wait for some to expire, or raise limits.revocationsMax.`,
      );
    }
    await this.#records.write([{ table, key: keyOf(revocation), value: encodeRevocation(revocation) }]);
    this.#remember(revocation);
    const { subject, tokenId } = revocation;
    const isHit: IsHit = (identity) =>
      subject === undefined ? identity.claims?.tokenId === tokenId : identity.subject === subject;
    for (const listener of this.#listeners) listener(isHit);
  }

  /** The date of a token is in whole seconds, so a token of the same second may be older than the revocation. */
  #isFrom(issuedAtMs: number | undefined, { revokedAtMs }: Revocation): boolean {
    return issuedAtMs === undefined || Math.floor(issuedAtMs / 1000) * 1000 <= revokedAtMs + this.#leewayMs;
  }

  #isKnown({ subject, tokenId }: Revocation): boolean {
    return subject === undefined ? this.#byTokenId.has(tokenId) : this.#bySubject.has(subject);
  }

  #remember(revocation: Revocation): void {
    const { subject, tokenId } = revocation;
    if (subject === undefined) this.#byTokenId.set(tokenId, revocation);
    else this.#bySubject.set(subject, revocation);
  }

  /** Removes expired entries when the limit is reached. */
  async #forgetOld(records: RecordStore): Promise<void> {
    if (this.#bySubject.size + this.#byTokenId.size < this.#countMax) return;
    const nowMs = this.#clock.nowMs();
    const old = [...this.#bySubject.values(), ...this.#byTokenId.values()].filter(
      ({ untilMs }) => untilMs !== undefined && untilMs <= nowMs,
    );
    if (old.length === 0) return;
    await records.write(old.map((revocation) => ({ table, key: keyOf(revocation), value: undefined })));
    for (const { subject, tokenId } of old) {
      if (subject === undefined) this.#byTokenId.delete(tokenId);
      else this.#bySubject.delete(subject);
    }
  }
}

/** Issuers choose the names, but a key of the store has a limited length and no zero bytes. */
function keyOf({ subject, tokenId }: Revocation): string {
  const name = subject === undefined ? `jti:${tokenId}` : `sub:${subject}`;
  return createHash('sha256').update(name).digest('hex');
}

function checked(what: Revocable): Revocable {
  const bytes = Buffer.byteLength(what.subject ?? what.tokenId);
  if (bytes < 1 || bytes > nameBytesMax) {
    throw new EverywireError('invalid', `A subject or token id has 1 to ${nameBytesMax} bytes of UTF-8.`);
  }
  return what;
}
