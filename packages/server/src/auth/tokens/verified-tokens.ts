import { hash } from 'node:crypto';
import type { Identity } from '../../core/sessions/access.ts';
import type { Validity } from './claims.ts';
import type { KeySource, VerificationKey } from './keys.ts';

/** A token whose signature and claims were verified with that key. */
export interface VerifiedToken {
  readonly identity: Identity;
  readonly validity: Validity;
  readonly keys: KeySource;
  readonly key: VerificationKey;
}

/**
 * Recently verified tokens, since a client that publishes by POST shows the same one each time. The key is the token's
 * SHA-256: this memory holds no token. The least recently shown entry is removed first.
 */
export class VerifiedTokens {
  readonly #bytesMax: number;
  readonly #tokens = new Map<string, { readonly token: VerifiedToken; readonly bytes: number }>();
  #bytes = 0;

  /** `bytesMax` limits the total length of the remembered tokens, since an entry grows with its token. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(token: string): VerifiedToken | undefined {
    const name = nameOf(token);
    const found = this.#tokens.get(name);
    if (found === undefined) return undefined;
    // Moves it to the end of the Map, which keeps the order of insertion.
    this.#tokens.delete(name);
    this.#tokens.set(name, found);
    return found.token;
  }

  keep(token: string, verified: VerifiedToken): void {
    const name = nameOf(token);
    this.#drop(name);
    this.#tokens.set(name, { token: verified, bytes: token.length });
    this.#bytes += token.length;
    for (const oldest of this.#tokens.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#drop(oldest);
    }
  }

  forget(token: string): void {
    this.#drop(nameOf(token));
  }

  #drop(name: string): void {
    const found = this.#tokens.get(name);
    if (found === undefined) return;
    this.#tokens.delete(name);
    this.#bytes -= found.bytes;
  }
}

function nameOf(token: string): string {
  return hash('sha256', token, 'base64');
}
