import { durationPattern } from '@everywire/protocol';
import Type, { type TInteger } from 'typebox';
import { portSchema, strict } from '../net/port-schema.ts';
import { grpcSection } from '../transports/grpc/limits.ts';
import { mqttSection } from '../transports/mqtt/limits.ts';
import { stompSection } from '../transports/stomp/limits.ts';
import { webhooksSection } from '../transports/webhook/limits.ts';
import { limitDeclarations, type AllLimits } from './limits.ts';
import { patternOf, sizePattern, unitOfName, type Unit } from './units.ts';

/**
 * The whole configuration. Its types, its defaults, `config schema`, and the checks of flags, environment and file all
 * come from this schema. A leaf marked `secret` is never shown and can be read from a file; one marked `mayBeFile` can
 * be read from a file too.
 */

const durability = Type.Union([Type.Literal('fsync'), Type.Literal('os'), Type.Literal('memory')], {
  default: 'fsync',
  description: 'The state that a message has reached before its publisher gets the answer.',
});

const count = Type.Union([Type.Integer({ minimum: 1 }), Type.Literal('unlimited')], {
  default: 10_000,
  description: 'Messages kept per channel.',
});

const age = Type.Union(
  [
    Type.Integer({ minimum: 1 }),
    Type.String({
      pattern: durationPattern,
      words: 'a length of time',
      examples: ['30s', '12h', '7d', 'P7D'],
    }),
    Type.Literal('unlimited'),
  ],
  {
    default: '7d',
    description: 'How long messages are kept: 30s, 15m, 12h, 7d or P7D; a bare number is seconds.',
  },
);

const bytes = Type.Union(
  [
    Type.Integer({ minimum: 1 }),
    Type.String({ pattern: sizePattern, words: 'a size', examples: ['512KiB', '64MiB', '1GiB'] }),
    Type.Literal('unlimited'),
  ],
  { default: '1GiB', description: 'Payload bytes kept per channel: 512KiB, 64MiB, 1GiB, or a number.' },
);

const namespace = Type.Object(
  {
    retention: Type.Optional(
      Type.Object(
        { count: Type.Optional(count), age: Type.Optional(age), bytes: Type.Optional(bytes) },
        strict,
      ),
    ),
    durability: Type.Optional(durability),
    payloadBytesMax: Type.Optional(
      Type.Integer({
        minimum: 0,
        unit: 'bytes',
        description: 'Largest payload on these channels, at most limits.payloadBytesMax.',
      }),
    ),
    detectTypes: Type.Optional(
      Type.Boolean({
        description:
          'Detect the type of a payload without one: JSON, text or bytes. false: application/octet-stream.',
      }),
    ),
    publishesPerSecondMax: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Messages per second on one channel, from all publishers together. 0: any number.',
      }),
    ),
  },
  strict,
);

/** The keys of `auth.jwt` and of each entry of `auth.issuers`. */
const issuer = {
  secret: Type.Optional(
    Type.String({ secret: true, description: 'Shared signing key for HS256, at least 32 bytes.' }),
  ),
  publicKey: Type.Optional(
    Type.String({
      mayBeFile: true,
      description:
        'Public key or certificate (PEM) or JWK: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.',
    }),
  ),
  jwks: Type.Optional(Type.String({ description: 'URL of a key set, https.' })),
  issuer: Type.Optional(Type.String({ minLength: 1, description: 'The required iss claim of a token.' })),
  audience: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'The required aud claim of a token, or a member of it. Without this option, tokens with aud are refused.',
    }),
  ),
  algorithm: Type.Optional(
    Type.Union([Type.Literal('HS256'), Type.Literal('RS256'), Type.Literal('ES256'), Type.Literal('EdDSA')], {
      description:
        'The algorithm of the key. The key itself may name it too; the server never takes it from a token.',
    }),
  ),
};

const leeway = {
  minimum: 0,
  maximum: 60,
  unit: 'seconds',
  description: 'Extra time before a token expires, for clocks that differ.',
};

const issuers = Type.Array(
  Type.Object(
    {
      ...issuer,
      issuer: Type.String({ minLength: 1 }),
      leewaySeconds: Type.Optional(Type.Integer(leeway)),
    },
    strict,
  ),
  {
    default: [],
    secret: true,
    description:
      'Several issuers instead of auth.jwt, each with the same options; the iss claim of a token selects the issuer. They share one set of subjects.',
  },
);

function limitSchemas(): Record<keyof AllLimits, TInteger> {
  const entries = Object.entries(limitDeclarations).map(([name, declaration]) => [
    name,
    Type.Integer({
      default: declaration.default,
      minimum: 0,
      ...unitOption(name),
    }),
  ]);
  return Object.fromEntries(entries) as Record<keyof AllLimits, TInteger>;
}

function unitOption(name: string): { readonly unit?: Unit } {
  const unit = unitOfName(name);
  return unit === undefined ? {} : { unit };
}

export const configSchema = Type.Object(
  {
    http: Type.Object(
      {
        host: Type.String({
          default: '127.0.0.1',
          minLength: 1,
          description: 'Address to listen on. A public one is refused while authentication is off.',
        }),
        port: portSchema(8080, 'Port of the HTTP family and WebSocket.'),
        trustedProxies: Type.Array(Type.String({ minLength: 1 }), {
          default: [],
          description:
            'Addresses and networks of your proxies: the server trusts their X-Forwarded-For and does not limit them by address.',
        }),
        keepAlive: Type.Integer({
          default: 65,
          minimum: 1,
          maximum: 86_400,
          unit: 'seconds',
          description:
            'How long an idle connection is kept. Longer than the time-out of the load balancer in front, which is 60 s for most and 600 s for some.',
        }),
      },
      strict,
    ),
    mqtt: mqttSection,
    stomp: stompSection,
    grpc: grpcSection,
    tls: Type.Object(
      {
        cert: Type.Optional(
          Type.String({
            minLength: 1,
            description: 'File of the certificate and its chain, PEM. With it, the ports use TLS.',
          }),
        ),
        key: Type.Optional(Type.String({ minLength: 1, description: 'File of its private key, PEM.' })),
        passphrase: Type.Optional(
          Type.String({ secret: true, description: 'Passphrase of an encrypted key.' }),
        ),
        clientCa: Type.Optional(
          Type.String({
            minLength: 1,
            description: 'File of the authorities (CA) of client certificates, PEM.',
          }),
        ),
        clientCertificates: Type.Union(
          [Type.Literal('none'), Type.Literal('request'), Type.Literal('require')],
          {
            default: 'none',
            description: 'Client certificates: not requested, requested, or required.',
          },
        ),
        subjectFrom: Type.Union(
          [
            Type.Literal('none'),
            Type.Literal('cn'),
            Type.Literal('san-email'),
            Type.Literal('san-uri'),
            Type.Literal('san-dns'),
          ],
          { default: 'none', description: 'The part of a client certificate that is the subject.' },
        ),
        minVersion: Type.Union([Type.Literal('TLSv1.2'), Type.Literal('TLSv1.3')], {
          default: 'TLSv1.2',
          description: 'Oldest allowed version of TLS.',
        }),
      },
      strict,
    ),
    transports: Type.Object(
      {
        poll: Type.Boolean({ default: true, description: 'Polling and long polling.' }),
        stream: Type.Boolean({ default: true, description: 'HTTP streaming.' }),
        sse: Type.Boolean({ default: true, description: 'Server-Sent Events.' }),
        websocket: Type.Boolean({ default: true, description: 'WebSocket, raw and everywire.v1.' }),
        socketio: Type.Boolean({ default: true, description: 'Socket.IO, by WebSocket and long polling.' }),
        stomp: Type.Boolean({ default: true, description: 'STOMP over TCP and WebSocket.' }),
        mqtt: Type.Boolean({ default: true, description: 'MQTT over TCP and WebSocket.' }),
        grpc: Type.Boolean({
          default: true,
          description: 'gRPC, and gRPC-Web and Connect on the HTTP port.',
        }),
        webhook: Type.Boolean({ default: true, description: 'Webhooks.' }),
      },
      strict,
    ),
    store: Type.String({
      default: 'lmdb:./data',
      minLength: 1,
      secret: true,
      description: 'lmdb:FOLDER keeps messages on disk, memory: keeps them while the server runs.',
    }),
    durability,
    retention: Type.Object({ count, age, bytes }, strict),
    namespaces: Type.Record(Type.String(), namespace, {
      description: 'Settings by channel filter, such as "chat/**"; the most specific filter wins.',
    }),
    allowedOrigins: Type.Array(
      Type.String({
        pattern: '^(?:dev|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\\s*]+)$',
        words: 'an origin',
        examples: ['https://app.example'],
      }),
      {
        default: [],
        description:
          'Other origins whose web pages may use this server, such as https://app.example, capacitor://localhost or null; dev: every page of this machine.',
      },
    ),
    webhooks: webhooksSection,
    auth: Type.Object(
      {
        cookie: Type.Optional(
          Type.String({
            pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            words: 'the name of a cookie',
            examples: ['session'],
            description:
              'Name of a cookie that may carry the token, from pages of this server and of allowedOrigins. Without it, cookies are not read.',
          }),
        ),
        jwt: Type.Object(
          {
            ...issuer,
            leewaySeconds: Type.Integer({ default: 0, ...leeway }),
          },
          strict,
        ),
        issuers,
        certificates: Type.Object(
          {
            subscribe: Type.Optional(
              Type.Array(Type.String(), {
                description:
                  'Filters that a client with a certificate and no token may read: as in a token, {sub} is the subject.',
              }),
            ),
            publish: Type.Optional(
              Type.Array(Type.String(), {
                description: 'Filters to which they may publish, in the same form.',
              }),
            ),
            admin: Type.Boolean({ default: false, description: 'Whether they are administrators.' }),
          },
          strict,
        ),
      },
      strict,
    ),
    metrics: Type.Object(
      {
        access: Type.Union([Type.Literal('open'), Type.Literal('admin')], {
          default: 'open',
          description: 'Access to /metrics: every peer that can reach it, or administrators.',
        }),
      },
      strict,
    ),
    insecure: Type.Boolean({
      default: false,
      description: 'Listen on a public address although authentication is off.',
    }),
    workers: Type.Union([Type.Integer({ minimum: 1 }), Type.Literal('auto')], {
      default: 1,
      description: 'Worker processes: more than 1 is not built yet.',
    }),
    limits: Type.Object(limitSchemas(), strict),
    log: Type.Object(
      {
        level: Type.Union(
          [
            Type.Literal('silent'),
            Type.Literal('error'),
            Type.Literal('warn'),
            Type.Literal('info'),
            Type.Literal('debug'),
          ],
          { default: 'info' },
        ),
        format: Type.Union([Type.Literal('auto'), Type.Literal('json'), Type.Literal('text')], {
          default: 'auto',
          description: 'auto: text on a terminal, JSON otherwise.',
        }),
      },
      strict,
    ),
    readyFile: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'File that the server writes when it is ready, with its pid and URLs, and removes at exit.',
      }),
    ),
  },
  strict,
);

/** A complete configuration: every key has its value. */
export type Config = Type.Static<typeof configSchema>;

type Partially<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Partially<T[K]> }
    : T;

/** The differences from the defaults. */
export type ConfigInput = Partially<Config>;

/** The node types of the schema tree, as far as the code here needs them. */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly const?: unknown;
  readonly pattern?: string;
  /** A description of the texts that match `pattern`, with examples: messages do not show the pattern. */
  readonly words?: string;
  readonly examples?: readonly string[];
  /** The unit of the number; a text with a unit is accepted too. */
  readonly unit?: Unit;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly secret?: boolean;
  readonly mayBeFile?: boolean;
}

export interface Leaf {
  readonly path: readonly string[];
  readonly schema: SchemaNode;
}

/** Every key that holds a value; `namespaces` counts as one. */
export function listLeaves(schema: SchemaNode = configSchema, path: readonly string[] = []): readonly Leaf[] {
  if (schema.properties === undefined) return [{ path, schema }];
  return Object.entries(schema.properties).flatMap(([name, child]) => listLeaves(child, [...path, name]));
}

/**
 * The configuration file as JSON Schema (2020-12). Nothing is required in it, because every key has a default.
 */
export function configJsonSchema(): unknown {
  const withoutRequired = JSON.parse(
    JSON.stringify(configSchema, (key, value: unknown) =>
      key === 'required' || key === 'words' ? undefined : withTexts(value),
    ),
  ) as object;
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'everywire.yaml',
    ...withoutRequired,
  };
}

/** A number with a unit may be written as text too. */
function withTexts(node: unknown): unknown {
  if (typeof node !== 'object' || node === null || !('unit' in node)) return node;
  const { unit, description, default: value, type, minimum, maximum } = node as SchemaNode;
  if (unit === undefined) return node;
  const texts = { type: 'string', pattern: patternOf(unit) };
  return { description, default: value, anyOf: [{ type, minimum, maximum }, texts] };
}
