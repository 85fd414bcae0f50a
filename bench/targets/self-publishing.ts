import { Caller } from '../calls.ts';
import { startProgram, stopChild } from '../child.ts';
import type { WireName } from '../generator/handshakes.ts';
import type { PeerCalls } from '../peers/peer-calls.ts';
import { isInstalled } from './installed.ts';
import type { Target } from './target.ts';

interface PeerProgram {
  readonly name: string;
  readonly peer: string;
  /** Relative to bench/. */
  readonly program: string;
  readonly wire: WireName;
  readonly path: string;
  /** The package it is made with. */
  readonly needs?: string;
}

/** A peer that is a program in bench/peers, and publishes from a timer in its own process. */
export function selfPublishing({ name, peer, program, wire, path, needs }: PeerProgram): Target {
  return {
    name,
    peer,
    wires: [wire],
    missing: () =>
      needs === undefined || isInstalled(needs) ? undefined : `the package ${needs} is not installed`,
    start: async () => {
      const child = startProgram(program, 'server');
      const caller = new Caller<PeerCalls>(child);
      const port = await caller.call('port', undefined);
      return {
        pid: child.pid!,
        port,
        subscribePath: () => path,
        startPublishing: async (ratePerSecond, payloadBytes) => {
          await caller.call('startPublishing', { ratePerSecond, payloadBytes });
        },
        stopPublishing: () => caller.call('stopPublishing', undefined),
        stop: () => stopChild(child),
      };
    },
  };
}
