import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nowNs } from './program/output.ts';

const mib = 1024 * 1024;

/** A mount that a test holds until it releases it. When the process ends, the remaining mounts are released. */
abstract class Mounted {
  protected readonly base: string;
  readonly #mounts: string[] = [];
  readonly #atExit = (): void => this.close();

  constructor(kind: string) {
    closeAbandoned(kind);
    this.base = mkdtempSync(join(tmpdir(), `everywire-${kind}-${process.pid}-`));
    process.once('exit', this.#atExit);
  }

  /** Unmounts in reverse, and removes everything. Safe to call twice. */
  close(): void {
    for (const mount of this.#mounts.splice(0).reverse()) run('umount', mount);
    rmSync(this.base, { recursive: true, force: true });
    process.off('exit', this.#atExit);
  }

  protected mount(name: string, ...args: readonly string[]): string {
    const at = join(this.base, name);
    mkdirSync(at, { recursive: true });
    run('mount', ...args, at);
    this.#mounts.push(at);
    return at;
  }

  protected unmount(at: string): void {
    run('umount', at);
    this.#mounts.splice(this.#mounts.indexOf(at), 1);
  }
}

/** A test that was killed left its disks behind: they go when the next one comes. */
function closeAbandoned(kind: string): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^everywire-${kind}-(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const base = join(tmpdir(), name);
    for (const mount of ['disk', 'outer'].map((part) => join(base, part))) {
      // Not every kind has each of them, and some were unmounted before their process ended.
      if (existsSync(mount) && statSync(mount).dev !== statSync(base).dev) run('umount', mount);
    }
    rmSync(base, { recursive: true, force: true });
  }
}

/**
 * A disk whose power can be cut: a file system in a file on XFS. A copy of that file is the disk at one instant, without
 * unflushed writes. To mount the copy replays the journal as after a real cut. Not modelled: reordering in the drive's
 * cache, torn sectors.
 */
export class CutDisk extends Mounted {
  readonly folder: string;
  readonly #image: string;
  readonly #cutImage: string;

  /** @throws Error where mounting is not permitted */
  constructor({ mebibytes = 64 } = {}) {
    super('cut');
    try {
      const outer = join(this.base, 'outer.img');
      writeFileSync(outer, '');
      // Twice the size for the copy, and what XFS wants for itself.
      truncateSync(outer, (2 * mebibytes + 272) * mib);
      run('mkfs.xfs', '-q', '-m', 'reflink=1', outer);
      const on = this.mount('outer', '-o', 'loop', outer);
      this.#image = join(on, 'disk.img');
      this.#cutImage = join(on, 'cut.img');
      writeFileSync(this.#image, '');
      truncateSync(this.#image, mebibytes * mib);
      run('mkfs.ext4', '-q', '-F', this.#image);
      this.folder = this.mount('disk', '-o', 'loop', this.#image);
    } catch (caught) {
      this.close();
      throw caught;
    }
  }

  /** Cuts the power. Everything that was durable before the returned instant is on the disk of `restore`. */
  cut(): number {
    const atNs = nowNs();
    run('cp', '--reflink=always', this.#image, this.#cutImage);
    return atNs;
  }

  /** Switches the power on again. No process may have files open in `folder`. */
  restore(): void {
    this.unmount(this.folder);
    renameSync(this.#cutImage, this.#image);
    this.mount('disk', '-o', 'loop', this.#image);
  }
}

/** A disk that is soon full. */
export class SmallDisk extends Mounted {
  readonly folder: string;
  readonly #ballast: string;

  constructor({ mebibytes }: { readonly mebibytes: number }) {
    super('small');
    try {
      this.folder = this.mount('disk', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs');
      this.#ballast = join(this.folder, 'ballast');
    } catch (caught) {
      this.close();
      throw caught;
    }
  }

  /** Leaves `bytesLeft` of what is free. */
  fill(bytesLeft: number): void {
    this.free();
    const { bavail, bsize } = statfsSync(this.folder);
    const bytes = Math.floor(bavail * bsize - bytesLeft);
    if (bytes > 0) run('fallocate', '-l', String(bytes), this.#ballast);
  }

  free(): void {
    rmSync(this.#ballast, { force: true });
  }
}

/** Why this machine cannot do what `attempt` needs; `undefined` when it can. */
export function whyNot(attempt: () => { close(): void }): string | undefined {
  try {
    attempt().close();
    return undefined;
  } catch (caught) {
    return caught instanceof Error ? caught.message.split('\n').slice(0, 2).join(' ') : String(caught);
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
}
