import type { Hub } from '../../src/core/hub.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import type { Host, Transport } from '../../src/core/seams/transport.ts';
import { UpgradeRouter } from '../../src/http/upgrades.ts';
import type { ListenAddress } from '../../src/net/listener.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { startHub } from '../core/hub-rig.ts';

export interface TcpRig {
  readonly hub: Hub;
  /** `<name>://127.0.0.1:<port>` */
  readonly url: string;
  stop(): Promise<void>;
}

interface Front {
  readonly upgrades: UpgradeRouter;
  readonly url: string;
  extend(): void;
}

/** A transport that listens on TCP, on the real hub and the memory store, or on the one that is given. */
export async function startOnTcp(
  create: (
    front: Front,
    options: { readonly listen: ListenAddress; readonly allowedOrigins: undefined },
  ) => Transport,
  given?: Hub,
): Promise<TcpRig> {
  const hub = given ?? (await startHub());
  const quiet = (): void => undefined;
  const host: Host = {
    hub,
    records: hub.store.records,
    limits: defaultLimits,
    clock: systemClock,
    random: createSystemRandom(),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  };
  const listen = { host: '127.0.0.1', port: 0, isDefaultPort: false };
  const front = { upgrades: new UpgradeRouter(), url: 'http://127.0.0.1:0', extend: quiet };
  const transport = create(front, { listen, allowedOrigins: undefined });
  await transport.start(host);
  return {
    hub,
    url: transport.endpoints.find(({ url }) => !url.startsWith('ws'))!.url,
    async stop() {
      hub.beginDrain();
      await transport.drain(AbortSignal.abort());
      await hub.stop();
    },
  };
}
