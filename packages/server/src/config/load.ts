import { join } from 'node:path';
import { readEnvironment, type Environment } from './environment.ts';
import { readConfigFile } from './file.ts';
import { findContradictions } from './rules.ts';
import { listLeaves, type Config, type ConfigInput } from './schema.ts';
import { ConfigError, readText, readTree, type Layer, type Setting } from './settings.ts';

/** One given flag, with the key that it sets. */
export interface Flag {
  readonly flag: string;
  readonly path: readonly string[];
  readonly text: string;
}

export interface ConfigSources {
  readonly flags: readonly Flag[];
  readonly env: Environment;
  /** The file that the user named; it must exist. */
  readonly file?: string | undefined;
  /** Without `file`: the folder of `everywire.yaml`. */
  readonly folder: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Every value with its source, in the order of the schema. */
  readonly settings: readonly Setting[];
}

const defaultSource = 'default';
const defaultFileName = 'everywire.yaml';

/** Flags > environment > file > defaults. @throws ConfigError with all problems, not only the first */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const asked = sources.file ?? (sources.env['EVERYWIRE_CONFIG'] || undefined);
  const file = readConfigFile(asked ?? join(sources.folder, defaultFileName));
  const flags = sources.flags.map(({ flag, path, text }) => readText(path, text, `flag ${flag}`));
  const layers = [...(file === undefined ? [] : [file]), readEnvironment(sources.env), ...flags];
  const missing = asked !== undefined && file === undefined ? [`${asked}: there is no such file.`] : [];
  return settle(layers, missing);
}

/** Completes the values that a program gives with the defaults. @throws ConfigError */
export function completeConfig(input: ConfigInput): LoadedConfig {
  return settle([readTree(input, () => 'given')], []);
}

/** Whether `path` has its default value, so that a failure caused by it is not the operator's mistake. */
export function isDefault({ settings }: LoadedConfig, path: readonly string[]): boolean {
  return settings.find((setting) => keyOf(setting.path) === keyOf(path))?.source === defaultSource;
}

/** Only the given values: a program would pass these for the same configuration. */
export function givenConfig({ settings }: LoadedConfig): ConfigInput {
  return assemble(settings.filter(({ source }) => source !== defaultSource));
}

function settle(layers: readonly Layer[], more: readonly string[]): LoadedConfig {
  const settings = new Map<string, Setting>();
  for (const { path, schema } of listLeaves()) {
    // A key without a default keeps its place in the order.
    const value = schema.patternProperties === undefined ? schema.default : {};
    settings.set(keyOf(path), { path, value, source: defaultSource });
  }
  for (const layer of layers)
    for (const setting of layer.settings) settings.set(keyOf(setting.path), setting);
  const problems = [...more, ...layers.flatMap((layer) => layer.problems)];
  const config = assemble(settings.values());
  // Contradictions between values that are invalid anyway would only repeat the problem.
  if (problems.length === 0)
    problems.push(
      ...findContradictions(config, (path) => settings.get(keyOf(path))?.source !== defaultSource),
    );
  if (problems.length > 0) throw new ConfigError(problems);
  return { config, settings: [...settings.values()] };
}

function keyOf(path: readonly string[]): string {
  return path.join('\n');
}

interface Section {
  [name: string]: unknown;
}

/** Every leaf has been checked against the schema, so the whole has its type. */
function assemble(settings: Iterable<Setting>): Config {
  const root: Section = {};
  for (const { path, value } of settings) {
    let section = root;
    for (const name of path.slice(0, -1)) section = enter(section, name);
    // Defaults are copied: a configuration must not change the schema.
    if (value !== undefined) define(section, path.at(-1)!, structuredClone(value));
  }
  return root as Config;
}

function enter(section: Section, name: string): Section {
  if (!Object.hasOwn(section, name)) define(section, name, {});
  return section[name] as Section;
}

/** Not by assignment, because an assignment to `__proto__` would change the prototype of the section. */
function define(section: Section, name: string, value: unknown): void {
  Object.defineProperty(section, name, { value, enumerable: true, configurable: true, writable: true });
}
