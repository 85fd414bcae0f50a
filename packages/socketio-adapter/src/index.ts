import type { Adapter } from 'socket.io-adapter';
import { EverywireAdapter } from './adapter.ts';
import { Cluster } from './cluster.ts';
import type { IoNamespace } from './io-namespace.ts';
import { checkOptions, type AdapterOptions } from './options.ts';

export type { AdapterOptions, Problem } from './options.ts';

/**
 * Makes the adapter of a `socket.io` server: `io.adapter(createAdapter({ url: 'http://127.0.0.1:8080' }))`. One call per
 * server; all its namespaces share one connection to Everywire.
 * @throws TypeError for options that cannot be.
 */
export function createAdapter(options: AdapterOptions): (ioNamespace: unknown) => Adapter {
  const cluster = new Cluster(checkOptions(options));
  // `socket.io` calls it with `new`, which an arrow function does not take.
  return function adapterOf(ioNamespace) {
    return new EverywireAdapter(ioNamespace as IoNamespace, cluster);
  };
}
