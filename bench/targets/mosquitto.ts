import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChild, stopChild } from '../child.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary-folder.ts';
import { findFreePort, waitUntilAccepting } from './free-port.ts';
import { mqttBroker } from './mqtt-broker.ts';
import type { Target } from './target.ts';

const programPath = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto'].find((path) => existsSync(path));

/**
 * Mosquitto with the persistence of Debian's package: it writes a file every half hour and at the end. An acknowledged
 * message is in memory only.
 */
export const mosquitto: Target = {
  name: 'mosquitto',
  peer: 'mosquitto',
  wires: ['mqtt'],
  isPublishedTo: true,
  missing: () => (programPath === undefined ? 'it is not installed (Debian: mosquitto)' : undefined),
  start: async (publisher) => {
    const folder = makeTemporaryFolder();
    const port = await findFreePort();
    const configPath = join(folder, 'mosquitto.conf');
    writeFileSync(configPath, config(folder, port));
    const child = startChild(programPath!, ['-c', configPath], { core: 'server' });
    await waitUntilAccepting('mosquitto', port);
    const stop = async (): Promise<void> => {
      await stopChild(child);
      removeTemporaryFolder(folder);
    };
    return mqttBroker({ pid: child.pid!, port, storeFolder: folder, stop }, publisher);
  },
};

function config(folder: string, port: number): string {
  // Started by root, it would change to a user without permission to write here.
  const user = process.getuid?.() === 0 ? 'user root' : '';
  return `listener ${port} 127.0.0.1
allow_anonymous true
${user}
log_dest none
persistence true
persistence_location ${folder}/
# Else it throws away what is above 1,000 messages for a session that is away.
max_queued_messages 0
`;
}
