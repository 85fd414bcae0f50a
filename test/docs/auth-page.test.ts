import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endEverything, serveEverywire, type ServedEverywire } from '../support/everywire.ts';
import { testSecret } from '../support/tokens.ts';
import { runShell } from './run-shell.ts';

const main = fileURLToPath(new URL('../../packages/server/src/cli/main.ts', import.meta.url));
const page = readFileSync(new URL('../../docs/auth.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]!);
/** What a block is said to print. */
const printed = [...page.matchAll(/^```text\n(.*?)^```$/gms)].map((match) => match[1]!);

let server: ServedEverywire;
let folder: string;
beforeAll(async () => {
  server = await serveEverywire([], { env: { EVERYWIRE_JWT_SECRET: testSecret } });
  folder = mkdtempSync(join(tmpdir(), 'everywire-page-'));
  writeFileSync(join(folder, 'everywire'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  chmodSync(join(folder, 'everywire'), 0o755);
  writeFileSync(join(folder, 'secret.txt'), `${testSecret}\n`);
});
afterAll(async () => {
  await server.dispose();
  endEverything();
  rmSync(folder, { recursive: true });
});

async function run(block: string): Promise<string> {
  const here = block.replaceAll('localhost:8080', new URL(server.http).host);
  const { code, output } = await runShell(`set -e; cd "${folder}"\n${here}`, {
    PATH: `${folder}:${process.env['PATH'] ?? ''}`,
    EVERYWIRE_JWT_SECRET_FILE: join(folder, 'secret.txt'),
  });
  expect(code, output).toBe(0);
  return output;
}

it('the commands of the page of tokens have the described results', async () => {
  expect(blocks).toHaveLength(4);
  const [first, rules, revocation, tickets] = await runAll();
  expect(first).toContain('yes: it may publish to chat/ann');
  expect(first).toContain('"data":"hello"');
  const told = rules!.split('\n').filter((line) => printed[0]!.split('\n').includes(line));
  expect(told.join('\n').trim()).toBe(printed[0]!.trim());
  expect(revocation).toBe('{"revoked":{"sub":"ann"}}');
  expect(tickets).toMatch(/^\{"ticket":"ewt_/);
});

async function runAll(): Promise<readonly string[]> {
  const outputs: string[] = [];
  for (const block of blocks) outputs.push(await run(block));
  return outputs;
}
