import type { PaceReport } from '../pacer.ts';
import type { GroupPlan, GroupReport } from './group.ts';
import type { PollPlan, PollReport } from './polling.ts';
import type { CountPlan, FloodPlan, FloodReport, PacePlan } from './publishing.ts';

/** What a load generator process does for the bench. Groups of subscribers are known by name. */
// A type, not an interface: only types have the index signature that `Calls` asks for.
export type AgentCalls = {
  /** Opens a group; answers when every subscription is ready. */
  readonly connect: {
    readonly ask: { readonly group: string; readonly plan: GroupPlan };
    readonly answer: { readonly elapsedMs: number };
  };
  readonly mark: { readonly ask: string; readonly answer: undefined };
  readonly report: { readonly ask: string; readonly answer: GroupReport };
  /** Answers when each subscriber has the message with number `seq`, or with `isComplete: false` after `timeoutMs`. */
  readonly reached: {
    readonly ask: { readonly group: string; readonly seq: number; readonly timeoutMs: number };
    readonly answer: { readonly isComplete: boolean };
  };
  readonly pause: { readonly ask: string; readonly answer: undefined };
  readonly resume: { readonly ask: string; readonly answer: undefined };
  readonly close: { readonly ask: string; readonly answer: undefined };
  readonly startPublishing: { readonly ask: PacePlan; readonly answer: undefined };
  readonly stopPublishing: {
    readonly ask: undefined;
    readonly answer: PaceReport & { readonly refused: number; readonly lastSeq: number };
  };
  /** Publishes an exact number of messages. */
  readonly publishCount: { readonly ask: CountPlan; readonly answer: { readonly elapsedMs: number } };
  /** Polls over HTTP until the time is over. */
  readonly poll: { readonly ask: PollPlan; readonly answer: PollReport };
  readonly flood: { readonly ask: FloodPlan; readonly answer: FloodReport };
};
