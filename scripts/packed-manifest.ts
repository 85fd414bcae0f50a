/** Where the workspace's manifest waits while the package is packed. */
export const workspaceManifest = 'package.workspace.json';

export interface Manifest {
  readonly exports: string | Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly scripts?: unknown;
  readonly files: readonly string[];
}

interface Built {
  readonly types: string;
  readonly default: string;
}

/** The manifest of the tarball: built files in place of sources, and no scripts. */
export function packedManifest(manifest: Manifest): object {
  const { bin, ...rest } = manifest;
  return {
    ...rest,
    scripts: undefined,
    exports:
      typeof rest.exports === 'string' ? builtExport(rest.exports) : mapValues(rest.exports, builtExport),
    ...(bin && { bin: mapValues(bin, builtFile) }),
    files: rest.files.map((name) => (name === 'src' ? 'dist' : name)),
  };
}

/** What is not TypeScript is in `dist` under the name that it has in `src`. */
function builtExport(source: string): string | Built {
  const file = builtFile(source);
  return file === builtFile(source, '.ts') ? file : { types: builtFile(source, '.d.ts'), default: file };
}

function builtFile(source: string, ending = '.js'): string {
  return source.replace(/^\.\/src\//, './dist/').replace(/\.ts$/, ending);
}

function mapValues<T>(
  record: Readonly<Record<string, string>>,
  map: (value: string) => T,
): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
