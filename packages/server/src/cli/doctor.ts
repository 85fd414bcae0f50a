import { findHindrances } from './judge.ts';
import { loadHere } from './config.ts';
import {
  checkAddress,
  checkFiles,
  checkNode,
  checkOwnPort,
  checkPort,
  type Finding,
} from './doctor-machine.ts';
import { checkStore } from './doctor-store.ts';
import { checkTls } from './doctor-tls.ts';
import { CommandError } from './exit.ts';
import type { ServeFlags } from './flags.ts';
import { write } from './output.ts';
import { styleText } from 'node:util';

const colours = { good: 'green', doubtful: 'yellow', bad: 'red' } as const;

/**
 * `everywire doctor`: looks for problems that would stop a server with this configuration, now or later.
 * @throws CommandError `failed` if the server could not start
 */
export async function diagnose(flags: ServeFlags): Promise<void> {
  const loaded = loadHere(flags);
  const { config } = loaded;
  const findings: readonly Finding[] = [
    checkNode(process.versions.node),
    checkFiles(),
    checkAddress(config),
    ...(await findHindrances(config)).map((text): Finding => ({ verdict: 'bad', text })),
    await checkPort(config.http),
    ...(await checkOwnPort('mqtt', loaded)),
    ...(await checkOwnPort('stomp', loaded)),
    ...(await checkOwnPort('grpc', loaded)),
    ...(await checkTls(config)),
    ...(await checkStore(config)),
  ];
  for (const { verdict, text } of findings) {
    const label = styleText(colours[verdict], verdict.padEnd(8), { stream: process.stdout });
    await write(`${label}  ${text}\n`);
  }
  const count = findings.filter(({ verdict }) => verdict === 'bad').length;
  if (count > 0) throw new CommandError('failed', `${count} of ${findings.length} checks failed.`);
}
