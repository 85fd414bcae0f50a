import { renameSync } from 'node:fs';
import { workspaceManifest } from './packed-manifest.ts';

/** `postpack` of every published package: the manifest that `prepack.ts` put aside comes back. */
renameSync(workspaceManifest, 'package.json');
