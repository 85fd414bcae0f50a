import type { Identity } from '../../core/access.ts';

/** Says whose token that is. Whether it was revoked, and what its claims allow, is asked elsewhere. */
export interface Verifier {
  /**
   * Resolves to who the token stands for, with its claims.
   * @throws EverywireError `unauthorized`, with a reason that has no byte of the token
   */
  verify(token: string): Promise<Identity>;
}
