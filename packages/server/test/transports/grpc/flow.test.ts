import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport, type Interceptor } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { GrpcHost } from '../../../src/transports/grpc/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import {
  Messaging,
  StreamRequestSchema,
  type StreamRequest,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { addServices, admittedKey } from '../../../src/transports/grpc/service.ts';
import { startHub } from '../../core/hub-rig.ts';

const turns = async (count: number): Promise<void> => {
  for (let at = 0; at < count; at += 1) await new Promise((resolve) => setImmediate(resolve));
};

async function hostOf(options: Parameters<typeof startHub>[0] = {}): Promise<GrpcHost> {
  const hub = await startHub(options);
  return {
    hub,
    records: hub.store.records,
    limits: defaultLimits,
    clock: systemClock,
    random: createSystemRandom(),
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
  };
}

const ping = (id: number): StreamRequest =>
  create(StreamRequestSchema, { id: BigInt(id), command: { case: 'ping', value: {} } });

it(
  'reads no more of a peer that takes no answers, and all of it once it does',
  { timeout: 240_000 },
  async () => {
    const host = await hostOf();
    const identity = await host.hub.authenticate({ token: undefined, address: undefined });
    const letIn: Interceptor = (next) => (request) => {
      request.contextValues.set(admittedKey, { party: { identity, address: undefined } });
      return next(request);
    };
    const transport = createRouterTransport(
      (router) => addServices(router, host, { calls: new Set(), stopping: new AbortController().signal }),
      { router: { interceptors: [letIn] } },
    );
    const count = 5_000;
    let asked = 0;
    async function* pings(): AsyncGenerator<StreamRequest> {
      for (let id = 1; id <= count; id += 1) {
        asked = id;
        yield ping(id);
        if (id % 50 === 0) await turns(1);
      }
    }
    const answers = createClient(Messaging, transport).stream(pings())[Symbol.asyncIterator]();
    expect((await answers.next()).value?.id).toBe(1n);
    await turns(500);
    expect(asked).toBeLessThan(100);
    for (let id = 2; id <= count; id += 1) expect((await answers.next()).value?.id).toBe(BigInt(id));
  },
);
