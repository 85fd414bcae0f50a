import { Check } from 'typebox/value';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { configJsonSchema, configSchema, listLeaves } from '../../src/config/schema.ts';
import { readTree } from '../../src/config/settings.ts';
import { showConfig, showConfigJson } from '../../src/config/show.ts';

const loaded = loadConfig({
  folder: '/nonexistent',
  env: {
    EVERYWIRE_NAMESPACES: '{"a/**": {"durability": "os"}}',
    EVERYWIRE_STORE: 'redis://user:hunter2@db:6379',
  },
  flags: [{ flag: '--port', path: ['http', 'port'], text: '9000' }],
});

test('the shown configuration is a valid file', () => {
  const { problems } = readTree(parse(showConfig(loaded.settings)), () => 'shown');
  expect(problems).toEqual([]);
});

test('each value is beside its source', () => {
  const shown = showConfig(loaded.settings);
  expect(shown).toMatch(/^http:\n {2}host: "127\.0\.0\.1" +# default\n {2}port: 9000 +# flag --port\n/);
  expect(shown).toMatch(
    /\nnamespaces:\n {2}"a\/\*\*":\n {4}durability: "os" +# environment EVERYWIRE_NAMESPACES\n/,
  );
});

test('passwords are masked, in YAML and in JSON', () => {
  for (const shown of [showConfig(loaded.settings), showConfigJson(loaded.settings)]) {
    expect(shown).toContain('redis://user:********@db:6379');
    expect(shown).not.toContain('hunter2');
  }
  const secret = [{ path: ['auth', 'jwt', 'secret'], value: 'hunter2', source: 'flag --jwt-secret' }];
  expect(showConfig(secret)).toContain('secret: "********"');
});

test('the JSON form has a value and a source per key', () => {
  const shown = JSON.parse(showConfigJson(loaded.settings));
  expect(shown['http.port']).toEqual({ value: 9000, source: 'flag --port' });
});

test('the JSON Schema describes a file, in which nothing is required', () => {
  const schema = configJsonSchema() as Record<string, unknown>;
  expect(schema['$schema']).toBe('https://json-schema.org/draft/2020-12/schema');
  expect(JSON.stringify(schema)).not.toContain('"required"');
  expect(schema).toHaveProperty('properties.http.properties.port.default', 8080);
});

test('every default satisfies its own schema', () => {
  for (const { path, schema } of listLeaves(configSchema)) {
    if (schema.default !== undefined) expect(Check(schema, schema.default), path.join('.')).toBe(true);
  }
});
