import { Unsendable } from './errors.ts';
import type { FollowOptions } from './session.ts';
import type { Wire } from './target.ts';

/** For wires without acknowledgements. @throws Unsendable */
export function refuseManualAcks({ acks }: FollowOptions, wire: Wire): void {
  if (acks === 'manual') throw new Unsendable(`${wire} has no acknowledgements.`);
}
