import { spawnSync } from 'node:child_process';
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runShell } from './run-shell.ts';

/** What a newcomer meets first: the README in both languages, the scripts of npm, and what git must not take. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const main = join(root, 'packages/server/src/cli/main.ts');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const blocksOf = (page: string): readonly string[] =>
  [...page.matchAll(/^```(?:console|sh)\n(.*?)^```$/gms)].map((match) => match[1]!);
/** Rows of tables, headings and pictures: the frame of a page, which no translation changes. */
const frameOf = (page: string): readonly string[] =>
  page.split('\n').flatMap((line) => /^(#+ |\||!\[|- )/.exec(line)?.[1] ?? []);

it('the Korean README has the same blocks and the same frame as the English one', () => {
  const [english, korean] = [read('README.md'), read('README.ko.md')];
  expect(blocksOf(korean)).toEqual(blocksOf(english));
  expect(frameOf(korean)).toEqual(frameOf(english));
});

it.each(['README.md', 'README.ko.md'])('the token of %s is made in a second terminal', async (page) => {
  const [first, second] = blocksOf(read(page)).filter((block) => block.includes('EVERYWIRE_JWT_SECRET_FILE'));
  const folder = mkdtempSync(join(tmpdir(), 'everywire-readme-'));
  try {
    writeFileSync(join(folder, 'npx'), `#!/bin/sh\nshift\nexec "${process.execPath}" "${main}" "$@"\n`);
    // The server of the first terminal is tried elsewhere: here it says only that its secret can be used.
    writeFileSync(join(folder, 'npm'), `#!/bin/sh\nexec "${process.execPath}" "${main}" config check\n`);
    for (const name of ['npx', 'npm']) chmodSync(join(folder, name), 0o755);
    const run = async (block: string, more = '') => {
      const lines = block.replaceAll(/^\$ /gm, '');
      const PATH = `${folder}:${process.env['PATH'] ?? ''}`;
      return runShell(`set -e; cd '${folder}'\n${lines}${more}`, { PATH });
    };
    expect((await run(first!)).code).toBe(0);
    expect(statSync(join(folder, 'secret.txt')).mode & 0o777).toBe(0o600);
    const { code, output } = await run(second!, 'npx everywire explain $TOKEN publish chat/ann');
    expect([code, output]).toEqual([0, expect.stringContaining('yes: it may publish to chat/ann')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('secrets and data of the quick start are not taken by git', () => {
  const { stdout } = spawnSync('git', ['check-ignore', 'secret.txt', 'data/data.mdb'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stdout).toBe('secret.txt\ndata/data.mdb\n');
});

it('the scripts of npm run in the shell of Windows too', () => {
  for (const path of globSync(['package.json', 'packages/*/package.json'], { cwd: root })) {
    const { scripts = {} } = JSON.parse(read(path)) as {
      readonly scripts?: Readonly<Record<string, string>>;
    };
    for (const script of Object.values(scripts)) {
      // No builtin of sh, no variable before a command, no quote or substitution that cmd.exe does not know.
      expect(`${path}: ${script}`).not.toMatch(/: (exec|export|set) |: \w+=|['`;$]|\|\||2>/);
    }
  }
});

it('npm does not warn of engines where Node 20 installs', () => {
  expect(read('.npmrc')).toMatch(/^loglevel=error$/m);
});
