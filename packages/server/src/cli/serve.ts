import { createServer, version, type EverywireServer } from '../server.ts';
import { createLog } from '../telemetry/log.ts';
import { findHindrances } from './judge.ts';
import { givenConfig } from '../config/load.ts';
import { loadHere } from './config.ts';
import { describeEndpoints } from './endpoints.ts';
import { CommandError, endWith, exitCodes } from './exit.ts';
import type { ServeFlags } from './flags.ts';
import { outliveClosedLog, write } from './output.ts';
import { removeReadyFile, removeStaleReadyFile, writeReadyFile } from './ready-file.ts';
import type { Config } from '../config/schema.ts';
import { maskPassword } from '../config/show.ts';
import type { Log } from '../core/seams/log.ts';

/** Additional time after `limits.drainMs`, for stuck connections. */
const patienceMs = 2_000;

/**
 * `everywire serve`: runs a server until a signal comes. SIGTERM drains and exits 0, SIGINT drains and exits 130;
 * a second signal exits at once.
 * @throws CommandError when it cannot start, ConfigError
 */
export async function serve(flags: ServeFlags): Promise<void> {
  const loaded = loadHere(flags);
  const { config } = loaded;
  const [hindrance] = await findHindrances(config);
  if (hindrance !== undefined) throw new CommandError('failed', hindrance);
  const log = createLog(config.log);
  const server = createServer(givenConfig(loaded), {
    log,
    // The supervisor starts the process again, and the new process verifies the store. The memory of the native part is
    // damaged, and an orderly exit would use it and may hang: so the process kills itself with a signal.
    onFatal: (error) => {
      log.error({ err: error }, 'the store cannot continue in this process; no acknowledged message is lost');
      process.kill(process.pid, 'SIGKILL');
    },
  });
  warnOfWhatIsNotBuilt(config, log);
  const { readyFile } = config;
  if (readyFile !== undefined) {
    removeStaleReadyFile(readyFile);
    process.once('exit', () => removeReadyFile(readyFile));
  }
  survive(log);
  stopOnSignals(server, config, log);
  if (config.tls.cert !== undefined) process.on('SIGHUP', () => void server.reload());
  const started = await server.start().catch((error: unknown) => {
    throw new CommandError('failed', explainStart(error, config), error);
  });
  if (readyFile !== undefined) {
    const { http, mqtt, stomp, mqtts, stomps, grpc } = started;
    writeReadyFile(readyFile, { pid: process.pid, http, mqtt, stomp, mqtts, stomps, grpc });
  }
  const { store, durability } = config;
  await write(
    `everywire ${version} on ${started.http}, store ${maskPassword(store)}, durability ${durability}, pid ${process.pid}\n\n`,
  );
  await write(describeEndpoints(started, config));
}

function explainStart(error: unknown, { http: { host, port } }: Config): string {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== 'listen') return message;
  if (code === 'EADDRINUSE')
    return `port ${port} on ${host} is taken; choose another with --port, or 0 for any.`;
  if (code === 'EACCES')
    return `port ${port} on ${host} is not permitted; ports below 1024 need root. Choose another with --port.`;
  return message;
}

function warnOfWhatIsNotBuilt({ workers }: Config, log: Log): void {
  if (workers !== 1) log.warn({ workers }, 'worker processes are not built yet; this is one process');
}

/** An unhandled rejection is a local fault of ours; it must not end all connections. */
function survive(log: Log): void {
  process.on('unhandledRejection', (cause) => {
    log.error({ err: cause, stage: 'unhandledRejection' }, 'unhandled promise rejection');
  });
}

function stopOnSignals(server: EverywireServer, config: Config, log: Log): void {
  let isStopping = false;
  const stop = (exitCode: number, why: object, level: 'info' | 'debug' = 'info'): void => {
    isStopping = true;
    log[level](why, 'stopping; a second signal stops at once');
    const stuck = setTimeout(() => {
      log.error({}, 'stopping took too long');
      process.exit(exitCodes.failed);
    }, config.limits.drainMs + patienceMs);
    stuck.unref();
    void server.stop().then(() => endWith(exitCode));
  };
  const { done, failed, interrupted } = exitCodes;
  for (const [signal, first, second] of [
    ['SIGTERM', done, failed],
    ['SIGINT', interrupted, interrupted],
  ] as const) {
    process.on(signal, () => {
      if (isStopping) process.exit(second);
      stop(first, { signal });
    });
  }
  whenShellEnds(() => {
    if (!isStopping) stop(done, { reason: 'the shell that started this server has ended' });
  });
  // `serve | head -1` ends quietly, as other programs do.
  outliveClosedLog(() => {
    if (!isStopping) stop(done, { reason: 'the reader of standard output has gone' }, 'debug');
  });
}

const lookEveryMs = 200;

/**
 * npm and similar tools start a shell, which starts the server. They send SIGTERM to the shell, and the shell ends
 * without passing it on. The server only sees that it has another parent process.
 */
function whenShellEnds(stop: () => void): void {
  const { npm_lifecycle_event: script, npm_command: command } = process.env;
  if (script === undefined && command === undefined) return;
  const shell = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    stop();
  }, lookEveryMs);
  timer.unref();
}
