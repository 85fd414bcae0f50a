import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lockFolder } from '../../../src/stores/lmdb/lock.ts';

let folder: string;
const lockPath = (): string => join(folder, 'everywire.lock');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-lock-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

it('is held by one at a time, and names its holder', () => {
  const unlock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(`process ${process.pid}`);
  expect(() => lockFolder(folder)).toThrow(folder);
  unlock();
  expect(existsSync(lockPath())).toBe(false);
  lockFolder(folder)();
});

it('of a living process is respected, and taken over once that is dead', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(child, 'spawn');
  const startedAt = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]!;
  writeFileSync(lockPath(), JSON.stringify({ pid: child.pid, startedAt }));
  expect(() => lockFolder(folder)).toThrow(`process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const unlock = lockFolder(folder);
  expect(JSON.parse(readFileSync(lockPath(), 'utf8'))).toMatchObject({ pid: process.pid });
  unlock();
});

it('of a process that is dead and that no parent has waited for is taken over', async () => {
  // The shell starts a process and becomes another program, which never waits for its child: a zombie keeps its pid.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60']);
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const fields = (): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  await expect.poll(() => fields()[0]).toBe('Z');
  writeFileSync(lockPath(), JSON.stringify({ pid, startedAt: fields()[19] }));
  try {
    lockFolder(folder)();
  } finally {
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  }
});

it('of a pid that another process has by now is taken over', () => {
  writeFileSync(lockPath(), JSON.stringify({ pid: process.pid, startedAt: '1' }));
  const unlock = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(`process ${process.pid}`);
  unlock();
});

it.each(['', '{"pid":', '[]', '{"pid":"1","startedAt":1}'])(
  'that is cut off or odd (%j) is taken over',
  (text) => {
    writeFileSync(lockPath(), text);
    lockFolder(folder)();
  },
);
