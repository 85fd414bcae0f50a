import { setTimeout as sleep } from 'node:timers/promises';
import { RawClient } from '../../clients/mqtt/raw-client.ts';
import type { ServerPacket, Version } from '@everywire/wires/mqtt';

/** Before a connection that was lost is opened again. */
const comeBackAfterMs = 15;

export interface DeviceOptions {
  readonly name: string;
  readonly version: Version;
  /** `mqtt://host:port` */
  readonly url: string;
}

/** A client that keeps its half of a session when its connections break and the server dies. */
export abstract class Device {
  readonly name: string;
  readonly version: Version;
  readonly #url: string;
  #hasSession = false;
  #client: RawClient | undefined;
  protected isStopped = false;
  /** Each time the server did not know a session that it had confirmed. */
  sessionsLost = 0;
  connections = 0;
  finished: Promise<void> = Promise.resolve();

  constructor({ name, version, url }: DeviceOptions) {
    this.name = name;
    this.version = version;
    this.#url = url;
  }

  begin(): void {
    this.finished = this.#run();
  }

  /** Breaks the connection. */
  cut(): void {
    this.#client?.cut();
  }

  stop(): void {
    this.isStopped = true;
    this.#client?.cut();
  }

  /** Connected, with the session that is kept, if there is one. */
  protected abstract connected(client: RawClient, isPresent: boolean): Promise<void>;
  protected abstract received(client: RawClient, packet: ServerPacket): void;

  async #run(): Promise<void> {
    while (!this.isStopped) {
      try {
        await this.#connection();
      } catch {
        // The server is dead, or was killed meanwhile.
      }
      await sleep(comeBackAfterMs);
    }
  }

  async #connection(): Promise<void> {
    const client = await RawClient.open(this.#url, this.version);
    this.#client = client;
    const { sessionPresent, reasonCode } = await client.connect({
      clientId: this.name,
      cleanStart: false,
      ...(this.version === 5 ? { properties: { sessionExpiryIntervalSeconds: 3_600 } } : {}),
    });
    if (reasonCode !== 0) throw new Error(`${this.name} was refused with ${reasonCode}`);
    this.connections += 1;
    if (this.#hasSession && !sessionPresent) this.sessionsLost += 1;
    this.#hasSession = true;
    await this.connected(client, sessionPresent);
    for (;;) {
      for (const packet of client.packets.splice(0)) this.received(client, packet);
      if (client.isClosed) return;
      await client.anything();
    }
  }
}
