import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Addresses } from '../../drivers/driver.ts';
import { serveEverywire, type ServedEverywire } from '../../support/everywire.ts';

/**
 * A server on LMDB that is killed and started again, always on the same folder and port, so that clients find it where
 * it was.
 */
export class MortalServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'everywire-faults-'));
  #serving: ServedEverywire | undefined;
  /** After the first start, those that were chosen. */
  #ports: readonly string[] = ['--port', '0'];
  #addresses: Addresses | undefined;
  /** How long each start took until the server was ready. */
  readonly startsMs: number[] = [];

  get http(): string {
    return this.addresses.url;
  }

  /** The same after every start. */
  get addresses(): Addresses {
    if (this.#addresses === undefined) throw new Error('the server has not been started');
    return this.#addresses;
  }

  async start(): Promise<void> {
    const fromMs = performance.now();
    const args = [...this.#ports, '--store', `lmdb:${join(this.#folder, 'data')}`];
    this.#serving = await serveEverywire(args);
    const { http, mqtt, stomp, grpc, ports } = this.#serving;
    this.#ports = ports;
    this.#addresses = { url: http, mqtt, stomp, grpc };
    this.startsMs.push(performance.now() - fromMs);
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    const serving = this.#serving;
    this.#serving = undefined;
    await serving?.dispose();
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
