import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';
import { describe } from 'vitest';

const executablePath = '/usr/bin/chromium';
const isHere = existsSync(executablePath);

/** A suite in real Chromium. Without one it is skipped, and says why; in CI it fails. */
export function describeInChromium(what: string, suite: () => void): void {
  if (!isHere && process.env['CI'] === 'true') throw new Error(`${executablePath} is not installed`);
  const name = isHere ? what : `${what} (skipped: ${executablePath} is not installed)`;
  describe.skipIf(!isHere)(name, { timeout: 60_000 }, suite);
}

export function launchChromium(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  });
}
