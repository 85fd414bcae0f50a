import { expect, test } from 'vitest';
import { packedManifest } from '../scripts/packed-manifest.ts';

test('the manifest of a tarball leads to built files, and has no scripts', () => {
  const manifest = {
    name: 'example',
    bin: { example: './src/cli/main.ts' },
    exports: { '.': './src/index.ts', './generated/*': './src/generated/*' },
    files: ['src', 'proto'],
    scripts: { prepack: 'build' },
  };
  expect(JSON.parse(JSON.stringify(packedManifest(manifest)))).toEqual({
    name: 'example',
    bin: { example: './dist/cli/main.js' },
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './generated/*': './dist/generated/*',
    },
    files: ['dist', 'proto'],
  });
  expect(packedManifest({ exports: './src/index.ts', files: ['src'] })).toMatchObject({
    exports: { types: './dist/index.d.ts', default: './dist/index.js' },
  });
});
