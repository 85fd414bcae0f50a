import { serveCalls } from '../calls.ts';
import { Pacer, type PaceReport } from '../pacer.ts';
import { makePayload } from '../payload.ts';

/** What a peer server tells the bench. */
// Types, not interfaces: only types have the index signature that `Calls` asks for.
export type PortCalls = { readonly port: { readonly ask: undefined; readonly answer: number } };

/** The calls of a peer that publishes to its own subscribers from a timer. */
export type PeerCalls = PortCalls & {
  readonly startPublishing: {
    readonly ask: { readonly ratePerSecond: number; readonly payloadBytes: number };
    readonly answer: undefined;
  };
  readonly stopPublishing: { readonly ask: undefined; readonly answer: PaceReport };
};

/** Serves a peer that sends with `broadcast`. */
export function servePeer(port: Promise<number>, broadcast: (payload: string) => void): void {
  let seq = 0;
  let payloadBytes = 0;
  const pacer = new Pacer(() => {
    broadcast(makePayload(++seq, payloadBytes));
    return true;
  });
  serveCalls<PeerCalls>({
    port: () => port,
    startPublishing: (ask) => {
      payloadBytes = ask.payloadBytes;
      pacer.start(ask.ratePerSecond);
      return undefined;
    },
    stopPublishing: () => pacer.stop(),
  });
}
