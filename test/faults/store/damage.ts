import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

export type DamageKind = 'one bit' | '4 KiB of zeros' | 'cut short';

export interface Damage {
  readonly kind: DamageKind;
  /** The byte at which it is, or where the file ends from now on. */
  readonly at: number;
}

/** Damages a file at a random place. */
export function damageFile(path: string, kind: DamageKind): Damage {
  const fd = openSync(path, 'r+');
  try {
    const at = Math.floor(Math.random() * fstatSync(fd).size);
    if (kind === 'cut short') {
      ftruncateSync(fd, at);
    } else if (kind === '4 KiB of zeros') {
      writeSync(fd, Buffer.alloc(4096), 0, 4096, at - (at % 4096));
    } else {
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, at);
      byte[0]! ^= 1 << Math.floor(Math.random() * 8);
      writeSync(fd, byte, 0, 1, at);
    }
    return { kind, at };
  } finally {
    closeSync(fd);
  }
}
