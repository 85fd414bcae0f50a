import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** What the welcome page, which runs in browsers as it is, uses of them. */
const browserGlobals = [
  'AbortController',
  'clearTimeout',
  'console',
  'crypto',
  'document',
  'EventSource',
  'fetch',
  'getSelection',
  'localStorage',
  'location',
  'navigator',
  'performance',
  'setTimeout',
  'URLSearchParams',
  'WebSocket',
];

export default tseslint.config(
  { ignores: ['**/node_modules/**', '**/dist/**', 'data/**', 'coverage/**', 'tools/**', '**/generated/**'] },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['*.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      // Numbers in template literals are how bytes, counts and durations get into messages.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // With noUncheckedIndexedAccess an index that was just checked still needs a word.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // Implementations of an asynchronous seam may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'Buffer', property: 'allocUnsafeSlow', message: 'use Buffer.alloc or Buffer.concat (T31)' },
      ],
      'no-control-regex': 'off',
    },
  },
  {
    files: ['packages/server/src/core/**/*.ts', 'packages/protocol/src/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'use clock.nowMs()' },
        { object: 'Math', property: 'random', message: 'use the injected Random' },
      ],
      'no-restricted-globals': [
        'error',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'process',
        'performance',
      ],
    },
  },
  {
    // Client libraries declare plain options and headers as classes.
    files: ['examples/**/*.ts'],
    rules: { '@typescript-eslint/no-unsafe-class-instance-assignment': 'off' },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
  {
    files: ['packages/server/src/page/public/*.js'],
    languageOptions: { globals: Object.fromEntries(browserGlobals.map((name) => [name, 'readonly'])) },
  },
  {
    files: ['**/test/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
    },
  },
);
