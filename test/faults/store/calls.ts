import type { Position } from '@everywire/protocol';
import type { Health } from '../../../packages/server/src/core/seams/store.ts';
import type { HistoryEvent, Sighting } from '../checker/history.ts';

/**
 * The calls of a test to a store in a separate process, which the test can kill or trace, and which may abort.
 * One JSON object a line: calls go in, answers and events come out.
 */
export interface Calls {
  /** Opens the store that `url` names. Answers its head, and how long opening took. */
  readonly open: (args: { readonly url: string }) => Opened;
  /** Publishes one after the other; events report the result of each. Resolves after the last. */
  readonly publish: (args: { readonly client: string; readonly publishes: readonly Publish[] }) => null;
  /** Publishes from several publishers at once, until `stop` or until something is refused. */
  readonly start: (args: Load) => null;
  /** Resolves once every publisher has its last answer. */
  readonly stop: (args: null) => Stopped;
  /** Resolves once the load has ended by itself. */
  readonly ended: (args: null) => Stopped;
  /** Everything of `filter` after a place, page by page to the head; from the very beginning without a place. */
  readonly read: (args: { readonly filter: string; readonly after?: Position | undefined }) => ReadAll;
  readonly channels: (args: null) => readonly ChannelEdges[];
  readonly drop: (args: { readonly channel: string }) => boolean;
  /** What the hub does now and then: gives back what deleted channels held. */
  readonly sweep: (args: null) => null;
  readonly health: (args: null) => Health;
  readonly close: (args: null) => null;
  /** What the store's own check of a closed folder finds wrong. */
  readonly verify: (args: { readonly path: string }) => readonly string[];
}

export interface Opened {
  readonly head: Position;
  readonly tookMs: number;
}

export interface Publish {
  readonly channel: string;
  readonly value: string;
  /** Keeps this many messages in the channel; absent: all. */
  readonly countMax?: number | undefined;
  /** Another content under the publish id of `value`: it must be refused. */
  readonly forgedAs?: string | undefined;
}

export interface Load {
  /** Begins every value, so that no two loads of one run share any. */
  readonly prefix: string;
  readonly publishers: number;
  readonly channels: readonly Pick<Publish, 'channel' | 'countMax'>[];
  /** Entries in one append, at most. */
  readonly entriesMax: number;
  readonly payloadBytesMax: number;
}

export interface Stopped {
  readonly accepted: number;
  /** The first refusal, which ended the load. */
  readonly refusal: Refusal | undefined;
  /** The store's health when it refused. */
  readonly health: Health | undefined;
}

export interface Refusal {
  readonly code: string;
  readonly detail: string;
}

export interface ReadAll {
  readonly messages: readonly Sighting[];
  readonly gaps: readonly ReadGap[];
  readonly through: Position;
}

export interface ReadGap {
  readonly channel: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly reason: string;
  readonly nextSeq: number;
  /** The last seq that the reader had read when the notice came. */
  readonly afterSeq: number;
}

export interface ChannelEdges {
  readonly channel: string;
  readonly offset: number;
  readonly firstOffset: number;
}

export interface CallLine {
  readonly no: number;
  readonly op: keyof Calls;
  readonly args: unknown;
}

export type OutLine =
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'answer'; readonly no: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly no: number; readonly error: Refusal }
  | { readonly kind: 'event'; readonly event: HistoryEvent }
  /** The store's log, from warnings on. */
  | { readonly kind: 'log'; readonly level: string; readonly text: string; readonly fields: unknown }
  /** The store said that only a new process can continue. */
  | { readonly kind: 'fatal' }
  /** An unhandled rejection, or an uncaught exception: always a fault of the store. */
  | { readonly kind: 'unhandled'; readonly detail: string };

/** How a process of the store is started. */
export interface ProgramOptions {
  /** The name of a bug to build in. */
  readonly sabotage?: string | undefined;
  /** The name under which the feed's deliveries are written down. */
  readonly feedName?: string | undefined;
}
