import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { configJsonSchema } from '../config/schema.ts';
import { ConfigError } from '../config/settings.ts';
import { showConfig, showConfigJson } from '../config/show.ts';
import type { ServeFlags } from './flags.ts';
import { say, write } from './output.ts';

/** The configuration of a server that starts now in this folder. @throws ConfigError */
export function loadHere({ flags, file }: ServeFlags): LoadedConfig {
  return loadConfig({ flags, file, env: process.env, folder: process.cwd() });
}

export async function show(flags: ServeFlags, asJson: boolean): Promise<void> {
  const { settings } = loadHere(flags);
  await write(asJson ? showConfigJson(settings) : showConfig(settings));
}

export async function check(flags: ServeFlags): Promise<void> {
  const { config, settings } = loadHere(flags);
  const { findHindrances } = await import('./judge.ts');
  const problems = await findHindrances(config);
  if (problems.length > 0) throw new ConfigError(problems);
  const given = settings.filter(({ source }) => source !== 'default').length;
  say(`The configuration is valid; ${given} of its values are given, the others are defaults.`);
}

export async function schema(): Promise<void> {
  await write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
}
