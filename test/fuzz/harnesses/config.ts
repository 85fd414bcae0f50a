import assert from 'node:assert/strict';
import {
  completeConfig,
  givenConfig,
  loadConfig,
  type LoadedConfig,
} from '../../../packages/server/src/config/load.ts';
import { namespacesOf } from '../../../packages/server/src/config/namespaces.ts';
import type { ConfigInput } from '../../../packages/server/src/config/schema.ts';
import { ConfigError } from '../../../packages/server/src/config/settings.ts';
import { webhooksOf } from '../../../packages/server/src/config/webhooks.ts';
import type { Harness } from '../harness.ts';

/** Lines of an environment, an empty line, a tree as a file or a program gives it. */
export const harness: Harness = {
  name: 'config',
  inputBytesMax: 400,
  runsInCi: 300,
  seeds: [
    'EVERYWIRE_HTTP__PORT=0\nEVERYWIRE_RETENTION__AGE=7d\nEVERYWIRE_RETENTION__BYTES=64MiB\nEVERYWIRE_TRANSPORTS__MQTT=off\n\n{}',
    'PORT=99999\nEVERYWIRE_ALLOWED_ORIGINS=https://a.example, http://b:1\nEVERYWIRE_LIMTS__PAYLOAD=1\n\n{}',
    'EVERYWIRE_NAMESPACES={"chat/**":{"retention":{"count":5,"age":"30s"},"durability":"os"}}\n\n{}',
    '\n{"retention":{"age":"999999999d","count":"unlimited","bytes":"999999999GiB"},"webhooks":{"retryDelays":["5s","999999999d"]}}',
    '\n{"namespaces":{"a/*":{"retention":{"age":60}},"__proto__":{"durability":"os"}},"limits":{"payloadBytesMax":1048576}}',
    '\n{"http":{"host":"::1","port":-1},"workers":"auto","log":{"level":"debug"}}',
    '\n{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}},"http":null}',
  ],
  dictionary: [
    'EVERYWIRE_',
    '__',
    '"__proto__"',
    '"limits"',
    '"namespaces"',
    'unlimited',
    '1e400',
    'MiB',
    '{"',
  ],
  run: (input) => {
    const [lines = '', json = '{}'] = input.toString().split(/\n\n|^\n/);
    const env: Record<string, string> = {};
    for (const line of lines.split('\n')) {
      const at = line.indexOf('=');
      // Those that end so name files to read, which is not what is to be tried here.
      if (at > 0 && !/_FILE$|^EVERYWIRE_CONFIG$/.test(line.slice(0, at)))
        env[line.slice(0, at)] = line.slice(at + 1);
    }
    const fromEnvironment = loaded(() => loadConfig({ flags: [], env, folder: '/nowhere' }));
    const tree = treeOf(json);
    const fromTree = tree === undefined ? undefined : loaded(() => completeConfig(tree));
    if (fromTree !== undefined) {
      assert.deepEqual(
        completeConfig(givenConfig(fromTree)).config,
        fromTree.config,
        'what was given is enough',
      );
    }
    return fromEnvironment !== undefined || fromTree !== undefined;
  },
};

function loaded(load: () => LoadedConfig): LoadedConfig | undefined {
  let whole: LoadedConfig;
  try {
    whole = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.problems.length > 0 && error.problems.every((problem) => problem.length > 0));
    return undefined;
  }
  // What was checked can be used.
  namespacesOf(whole.config);
  for (const delayMs of webhooksOf(whole.config).retryDelaysMs) assert.ok(Number.isSafeInteger(delayMs));
  return whole;
}

function treeOf(json: string): ConfigInput | undefined {
  try {
    return JSON.parse(json) as ConfigInput;
  } catch {
    return undefined;
  }
}
