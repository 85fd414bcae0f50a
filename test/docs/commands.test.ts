import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { runShell } from './run-shell.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const isCurlHere = spawnSync('curl', ['--version']).error === undefined;
if (!isCurlHere && process.env['CI'] === 'true') throw new Error('curl is not installed');

/** Every `curl` in a block of a page, with its continuation lines. */
function commandsOf(page: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll('\\\n', ' ');
  const blocks = [...text.matchAll(/^ *```(?:console|sh)\n(.*?)^ *```$/gms)].map((match) => match[1]!);
  return blocks.flatMap((block) => [...block.matchAll(/^ *(?:\$ )?(curl .+)$/gm)].map((match) => match[1]!));
}

/** Its commands want a server with a secret: auth-page.test.ts runs them. */
const otherServers: ReadonlySet<string> = new Set(['docs/auth.md']);
const pages = globSync(['README*.md', 'docs/*.md'], { cwd: root })
  .filter((page) => !otherServers.has(page))
  .sort();
const commands = pages.flatMap((page) => commandsOf(page).map((command) => ({ page, command })));

describe.skipIf(!isCurlHere)(
  `commands in the pages${isCurlHere ? '' : ' (skipped: curl is missing)'}`,
  () => {
    let server: TestServer;
    let home: string;
    beforeAll(async () => {
      server = await startTestServer({});
      home = mkdtempSync(join(tmpdir(), 'everywire-curl-'));
      // What follows a channel never ends by itself.
      writeFileSync(join(home, '.curlrc'), 'max-time = 1\nsilent\nshow-error\n');
      await fetch(`${server.url}/channels/demo`, { method: 'POST', body: 'hello' });
    });
    afterAll(async () => {
      await server.stop();
      rmSync(home, { recursive: true });
    });

    it('finds them', () => {
      expect(commands.length).toBeGreaterThan(10);
    });

    it.each(commands)('$page: $command', async ({ command }) => {
      const here = command.replaceAll(/(http:\/\/)?(localhost|127\.0\.0\.1):8080/g, server.url);
      expect(here).not.toBe(command);
      const { code, output } = await runShell(here, { CURL_HOME: home });
      // 28 is curl's own word for what was ended by max-time.
      expect([0, 28]).toContain(code);
      expect(output).not.toBe('');
      const isRefusalShown = command.includes('nonsense') || command.includes('bad+name');
      if (!isRefusalShown) expect(output).not.toContain('"type":"/problems/');
    });
  },
);
