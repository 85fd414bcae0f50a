/** One client for each wire of Everywire, all with the same interface. */
export { Cut, Refused, Unreachable, Unsendable } from './errors.ts';
export { Probe, type Figures, type ProbeOptions } from './probe.ts';
export type { Arrival, FollowOptions, MessageArrival, Publication, Start } from './session.ts';
export type { CutKind } from './sockets.ts';
export {
  encodeChannel,
  originOf,
  type ClientCertificate,
  type LinkKind,
  type Target,
  type Wire,
} from './target.ts';
