import type { Adapter } from 'socket.io-adapter';
import { EverywireAdapter } from './adapter.ts';
import { Cluster } from './cluster.ts';
import type { IoNamespace } from './io-namespace.ts';
import { checkOptions, type AdapterOptions } from './options.ts';

export type { AdapterOptions, Problem } from './options.ts';

/**
 * Makes the adapter of a `socket.io` server: `io.adapter(createAdapter({ url: 'http://127.0.0.1:8080' }))`. Call it once per
 * server: all namespaces of the server share one connection to Everywire.
 * @throws TypeError for invalid options
 */
export function createAdapter(options: AdapterOptions): (ioNamespace: unknown) => Adapter {
  const cluster = new Cluster(checkOptions(options));
  // `socket.io` calls it with `new`, and an arrow function is not a constructor.
  return function adapterOf(ioNamespace) {
    return new EverywireAdapter(ioNamespace as IoNamespace, cluster);
  };
}
