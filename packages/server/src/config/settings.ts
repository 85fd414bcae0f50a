import { Check, Errors } from 'typebox/value';
import { configSchema, listLeaves, type SchemaNode } from './schema.ts';
import { nearest } from './suggest.ts';
import { describeUnit, readInUnit } from './units.ts';

/** One given value and the place where it was given, in words for people. */
export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly source: string;
}

/** The settings of one source (flags, environment, file), and its problems. */
export interface Layer {
  readonly settings: readonly Setting[];
  readonly problems: readonly string[];
}

/** The configuration cannot be used. `problems` holds one sentence each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Checks a tree of values against the schema. `sourceOf` says where a path was written. */
export function readTree(tree: unknown, sourceOf: (path: readonly string[]) => string): Layer {
  const settings: Setting[] = [];
  const problems: string[] = [];
  const walk = (schema: SchemaNode, value: unknown, path: readonly string[]): void => {
    const source = sourceOf(path);
    const childOf = childSchemas(schema);
    if (childOf === undefined) {
      const setting = { path, value: readInUnits(schema, asList(schema, value)), source };
      const problem = findProblem(setting, schema);
      if (problem === undefined) settings.push(setting);
      else problems.push(problem);
      return;
    }
    // In YAML, a section whose keys are all commented out is null.
    if (value === null || value === undefined) return;
    if (typeof value !== 'object' || Array.isArray(value)) {
      problems.push(
        `${source}: ${describePath(path)} is a section with keys, not ${quoteValue(path, value)}.`,
      );
      return;
    }
    for (const [name, child] of Object.entries(value)) {
      const childPath = [...path, name];
      const childSchema = childOf(name);
      if (childSchema === undefined) problems.push(describeUnknown(schema, childPath, sourceOf(childPath)));
      else if (child !== undefined) walk(childSchema, child, childPath);
    }
  };
  walk(configSchema, tree, []);
  return { settings, problems };
}

/** Reads the text of a flag or of an environment variable by the schema at `path`. */
export function readText(path: readonly string[], text: string, source: string): Layer {
  const schema = schemaAt(path);
  if (schema?.patternProperties !== undefined) return readRecord(path, text, source);
  if (schema === undefined) return { settings: [], problems: [`${source}: no such key.`] };
  const value =
    candidatesOf(text)
      .map((candidate) => readInUnits(schema, candidate))
      .find((candidate) => Check(schema, candidate)) ??
    (schema.items?.properties === undefined ? text : (parseList(text) ?? text));
  const problem = findProblem({ path, value, source }, schema);
  return problem === undefined
    ? { settings: [{ path, value, source }], problems: [] }
    : { settings: [], problems: [problem] };
}

/** One text is a list of one, as it is in flags and the environment. */
function asList({ type, items }: SchemaNode, value: unknown): unknown {
  return type === 'array' && items?.type === 'string' && typeof value === 'string' ? [value] : value;
}

/** With the members of a list of sections, whose keys have units too. */
function readInUnits(schema: SchemaNode, value: unknown): unknown {
  const members = schema.items?.properties;
  if (members === undefined || !Array.isArray(value)) return readInUnit(schema.unit, value);
  return value.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) return item;
    const entries = Object.entries(item).map(([name, member]: [string, unknown]) => {
      const unit = Object.hasOwn(members, name) ? members[name]!.unit : undefined;
      return [name, readInUnit(unit, member)];
    });
    return Object.fromEntries(entries) as unknown;
  });
}

export function schemaAt(path: readonly string[]): SchemaNode | undefined {
  let schema: SchemaNode | undefined = configSchema;
  for (const name of path) schema = schema === undefined ? undefined : childSchemas(schema)?.(name);
  return schema;
}

/** The sections and keys under a schema; `undefined` for a leaf. */
function childSchemas(schema: SchemaNode): ((name: string) => SchemaNode | undefined) | undefined {
  const { properties, patternProperties } = schema;
  if (properties !== undefined) {
    return (name) => (Object.hasOwn(properties, name) ? properties[name] : undefined);
  }
  if (patternProperties !== undefined) {
    const [only] = Object.values(patternProperties);
    return () => only;
  }
  return undefined;
}

function readRecord(path: readonly string[], text: string, source: string): Layer {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch (error) {
    // The message of the parser would repeat the text, which may be secret; the position is enough to find it.
    if (!(error instanceof SyntaxError)) throw error;
    return { settings: [], problems: [`${source}: ${describePath(path)} must be JSON.`] };
  }
  const nested = path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), tree);
  return readTree(nested, () => source);
}

const words: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
]);

/** All values that a text can mean; the schema takes the first one that fits. */
function candidatesOf(text: string): readonly unknown[] {
  const list = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const number = /^-?\d{1,15}$/.test(text) ? [Number(text)] : [];
  return [...number, words.get(text.toLowerCase()), parseList(text), list, text];
}

/** A list in JSON; a list of sections must be in JSON. */
function parseList(text: string): unknown {
  if (!text.trimStart().startsWith('[')) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

const nameless = { keyword: '', instancePath: '', message: 'is wrong' };

function findProblem({ path, value, source }: Setting, schema: SchemaNode): string | undefined {
  if (Check(schema, value)) return undefined;
  if (schema.items?.properties !== undefined) {
    // The place in the list, without the value, which may be secret.
    const [{ keyword, instancePath, message } = nameless] = Errors(schema, value);
    const where = describePath(path) + instancePath.replaceAll('/', '.');
    return `${source}: ${where} ${keyword === 'boolean' ? 'is not a key' : message}.`;
  }
  const given = schema.secret === true ? somethingElse : quoteValue(path, value);
  return `${source}: ${describePath(path)} is ${describeSchema(schema)}, not ${given}.`;
}

function describeUnknown(schema: SchemaNode, path: readonly string[], source: string): string {
  const name = path.at(-1)!;
  const sibling = nearest(name, Object.keys(schema.properties ?? {}));
  // A key in the wrong section (`port` at the top) is as common as a misspelt key.
  const elsewhere = listLeaves().find((leaf) => leaf.path.at(-1) === name)?.path;
  const meant = sibling === undefined ? elsewhere : [...path.slice(0, -1), sibling];
  if (meant === undefined && hasSecrets(path))
    return `${source}: unknown key in ${describePath(path.slice(0, -1))}.`;
  const hint = meant === undefined ? '' : ` Did you mean ${describePath(meant)}?`;
  return `${source}: unknown key ${describePath(path)}.${hint}`;
}

function describePath(path: readonly string[]): string {
  return path.length === 0 ? 'the configuration' : path.join('.');
}

/** The values that a schema accepts, in words. */
export function describeSchema(schema: SchemaNode): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(describeSchema).join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.unit !== undefined) {
    const { unit, minimum = 0, maximum } = schema;
    if (maximum === undefined) return describeUnit(unit);
    return `a whole number from ${minimum} to ${maximum}, or ${describeUnit(unit)}`;
  }
  if (schema.type === 'integer') {
    if (schema.maximum !== undefined)
      return `a whole number from ${schema.minimum ?? 0} to ${schema.maximum}`;
    return schema.minimum === undefined ? 'a whole number' : `a whole number of at least ${schema.minimum}`;
  }
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'object') return 'a section';
  if (schema.type === 'array') return `a list, each ${describeSchema(schema.items ?? {})}`;
  const { words = 'text', examples = [] } = schema;
  return examples.length === 0 ? words : `${words} such as ${examples.join(', ')}`;
}

const somethingElse = 'something else';

/** A secret that was written one level too high must not appear in the log. */
function hasSecrets([section]: readonly string[]): boolean {
  return section === 'auth' || section === 'tls';
}

function quoteValue(path: readonly string[], value: unknown): string {
  if (hasSecrets(path)) return somethingElse;
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
