import { Caller } from '../calls.ts';
import { startProgram, stopChild } from '../child.ts';
import type { PortCalls } from '../peers/peer-calls.ts';
import { isInstalled } from './installed.ts';
import { mqttBroker } from './mqtt-broker.ts';
import type { Target } from './target.ts';

/** aedes as its guide has it: everything in memory. */
export const aedes: Target = {
  name: 'aedes',
  peer: 'aedes',
  wires: ['mqtt'],
  isPublishedTo: true,
  missing: () => (isInstalled('aedes') ? undefined : 'the package aedes is not installed'),
  start: async (publisher) => {
    const child = startProgram('./peers/aedes.ts', 'server');
    const port = await new Caller<PortCalls>(child).call('port', undefined);
    return mqttBroker({ pid: child.pid!, port, stop: () => stopChild(child) }, publisher);
  },
};
