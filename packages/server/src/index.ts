/**
 * Everywire as a library: make a server, start it, stop it.
 *
 *     import { createServer } from 'everywire';
 *
 *     const server = createServer({ store: 'memory:', http: { port: 0 } });
 *     const { http } = await server.start();
 *     await server.stop();
 */
export { createServer, type EverywireServer, type ServerParts, type Started } from './server.ts';
export type { Config, ConfigInput } from './config/schema.ts';
export { ConfigError } from './config/settings.ts';
export type { Clock, Random, Timer } from './core/clock.ts';
export type { Log } from './core/seams/log.ts';
export type { Endpoint } from './core/seams/transport.ts';
export { EverywireError, type ErrorCode } from '@everywire/protocol';
