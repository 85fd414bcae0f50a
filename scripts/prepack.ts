import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { packedManifest, workspaceManifest, type Manifest } from './packed-manifest.ts';

/**
 * `prepack` of every published package, run by npm in the package's folder. Node refuses TypeScript below `node_modules`, so
 * a package is built to `dist`. Its manifest leads to `src` in the workspace and to `dist` in the tarball: npm reads it
 * after this script, and `postpack.ts` puts the workspace's back.
 */
if (existsSync(workspaceManifest)) copyFileSync(workspaceManifest, 'package.json');
rmSync('dist', { recursive: true, force: true });
// Generated code and pages are not built.
cpSync('src', 'dist', { recursive: true, filter: (path) => !path.endsWith('.ts') || path.endsWith('.d.ts') });
// The server's page shows them.
if (existsSync('src/page')) cpSync('../../docs', 'dist/page/docs', { recursive: true });
execFileSync('tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' });
copyFileSync('package.json', workspaceManifest);
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
writeFileSync('package.json', `${JSON.stringify(packedManifest(manifest), undefined, 2)}\n`);
