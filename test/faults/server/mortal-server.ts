import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveEverywire, type ServedEverywire } from '../../support/everywire.ts';

/**
 * A server on LMDB that is killed and started again, always on the same folder and port, so that clients find it where
 * it was.
 */
export class MortalServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'everywire-faults-'));
  #serving: ServedEverywire | undefined;
  #port = 0;
  /** How long each start took until the server was ready. */
  readonly startsMs: number[] = [];

  get http(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const fromMs = performance.now();
    const args = ['--port', String(this.#port), '--store', `lmdb:${join(this.#folder, 'data')}`];
    this.#serving = await serveEverywire(args);
    this.#port = this.#serving.port;
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
