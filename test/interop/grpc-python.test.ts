import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { debianPython, grpcForPython } from '../../scripts/tools.ts';
import { startTestServer } from '../support/server.ts';
import { describeWith } from './tool-suite.ts';

const run = promisify(execFile);
const proto = fileURLToPath(new URL('../../proto', import.meta.url));
const program = fileURLToPath(new URL('program/grpc_client.py', import.meta.url));

describeWith(grpcForPython, "gRPC's own client in Python", () => {
  it('publishes, follows, streams and is refused, with code generated from the .proto', async () => {
    const server = await startTestServer({});
    const folder = mkdtempSync(join(tmpdir(), 'everywire-python-'));
    try {
      await run(debianPython, [
        ...['-m', 'grpc_tools.protoc', `-I${proto}`, `--python_out=${folder}`, `--grpc_python_out=${folder}`],
        'everywire/v1/messaging.proto',
      ]);
      const { stdout } = await run(debianPython, [program, server.grpc!, folder], {
        env: { ...process.env, PYTHONIOENCODING: 'utf-8' },
      });
      const lines = stdout.trim().split('\n');
      expect(lines.slice(0, 2)).toEqual(['subscribed', "python/한글 안녕 {'a': 'b'} True"]);
      expect(lines.slice(2, -1)).toEqual(expect.arrayContaining(['1 subscribed', '1 message']));
      expect(lines.at(-1)).toBe('INVALID_ARGUMENT True');
    } finally {
      rmSync(folder, { recursive: true });
      await server.stop();
    }
  });
});
