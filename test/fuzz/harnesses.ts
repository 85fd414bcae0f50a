import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where harnesses and the inputs that once broke something are. */

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Names of all harnesses, which are those of their files. */
export function harnessNames(): readonly string[] {
  return readdirSync(`${folder}harnesses`)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .sort();
}

/** From the root of the project. */
export function harnessFile(name: string): string {
  return `test/fuzz/harnesses/${name}.ts`;
}

/** Inputs that broke something once; every run begins with them. */
export function regressionsOf(name: string): readonly Uint8Array[] {
  return inputsIn(`${folder}regressions/${name}`);
}

/** Keeps an input that broke something. Returns its path from the root of the project. */
export function keepRegression(name: string, input: Uint8Array): string {
  keepInput(`${folder}regressions/${name}`, input);
  return `test/fuzz/regressions/${name}/${fileNameOf(input)}`;
}

export function inputsIn(path: string): readonly Uint8Array[] {
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .sort()
    .map((file) => readFileSync(`${path}/${file}`));
}

export function keepInput(path: string, input: Uint8Array): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/${fileNameOf(input)}`, input);
}

/** By content, so that an input that is found again is not kept twice. */
function fileNameOf(input: Uint8Array): string {
  return `${createHash('sha256').update(input).digest('hex').slice(0, 16)}.bin`;
}
