import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Makes the message code of gRPC from `proto/` with Debian's protoc and the generator from npm. `node
 * scripts/generate-grpc.ts [FOLDER]`; a test compares what it makes with what is committed.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const out = process.argv[2] ?? join(root, 'packages/wires/src/grpc/generated');

mkdirSync(out, { recursive: true });
const { status, error } = spawnSync(
  'protoc',
  [
    `--plugin=protoc-gen-es=${join(root, 'node_modules/.bin/protoc-gen-es')}`,
    `--es_out=${out}`,
    // JavaScript with declarations: its enums are none that Node could run as TypeScript.
    '--es_opt=target=js+dts,import_extension=js',
    `--proto_path=${join(root, 'proto')}`,
    ...globSync('**/*.proto', { cwd: join(root, 'proto') }).sort(),
  ],
  { stdio: 'inherit', cwd: root },
);
if (error !== undefined) process.stderr.write(`protoc could not be run: ${error.message}\n`);
process.exitCode = status ?? 1;
