import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { testSecret } from '../../../../test/support/tokens.ts';
import type { Issuer } from '../../src/auth/tokens/verifier.ts';
import { answerJson, startIssuerServer, type IssuerServer } from './issuer-server.ts';
import { encode, hmac, joinToken, objectText, signer, type MemberTexts } from './token-text.ts';

/**
 * Tokens as they must not be, and some that must be taken although they look odd: data, to be shown to the verifier and on
 * every transport. `prepareTokenCorpus` starts the issuers that a server must be configured with for them.
 */

export interface TokenCase {
  /** `<row>.<number>`; the row says what is wrong: alg, header, exp, nbf, iat, audience, rights, form, state. */
  readonly id: string;
  readonly what: string;
  /** Made anew for each use, because dates are counted from then. */
  readonly make: (context: CorpusContext) => string;
  /** What the refusal says. Absent: the token is good; its subject may publish and subscribe to everything. */
  readonly refused?: RegExp;
}

export interface CorpusContext {
  readonly nowMs: number;
  /** A listener without a permitted connection. */
  readonly trapUrl: string;
}

export interface TokenCorpus {
  /** For `auth.issuers`. */
  readonly issuers: (Issuer & { readonly issuer: string })[];
  readonly trap: IssuerServer;
  /** What serves the key sets of two issuers. */
  readonly keySets: readonly IssuerServer[];
  stop(): Promise<void>;
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const one = generateKeyPairSync('ed25519');
const two = generateKeyPairSync('ed25519');
const rsaPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const rsaDer = rsa.publicKey.export({ type: 'spki', format: 'der' });

const audience = 'everywire';
const leewaySeconds = 60;

/** Issuers by the name of their algorithm; the last two have key sets, in which the key of each is called by its name. */
const names = {
  hs: 'https://hs.example',
  rs: 'https://rs.example',
  es: 'https://es.example',
  ed: 'https://ed.example',
  one: 'https://one.example',
  two: 'https://two.example',
} as const;

export async function prepareTokenCorpus(): Promise<TokenCorpus> {
  const keySet = (name: string, key: KeyObject) =>
    answerJson({ keys: [{ ...key.export({ format: 'jwk' }), kid: name, use: 'sig' }] });
  const trap = await startIssuerServer();
  const ones = await startIssuerServer(keySet('one', one.publicKey));
  const twos = await startIssuerServer(keySet('two', two.publicKey));
  const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
  return {
    issuers: [
      { issuer: names.hs, audience, secret: testSecret },
      { issuer: names.rs, audience, publicKey: rsaPem },
      { issuer: names.es, audience, publicKey: pem(ec.publicKey), leewaySeconds },
      { issuer: names.ed, audience, publicKey: pem(ed.publicKey) },
      { issuer: names.one, audience, jwks: ones.url },
      { issuer: names.two, audience, jwks: twos.url },
    ],
    trap,
    keySets: [ones, twos],
    async stop(): Promise<void> {
      for (const server of [trap, ones, twos]) await server.stop();
    },
  };
}

interface Parts {
  readonly header?: MemberTexts;
  readonly payload?: MemberTexts;
  readonly issuer?: keyof typeof names;
  readonly sign?: (input: Buffer) => Buffer;
}

const signers: Readonly<Record<keyof typeof names, (input: Buffer) => Buffer>> = {
  hs: hmac(testSecret),
  rs: signer(rsa.privateKey),
  es: signer(ec.privateKey),
  ed: signer(ed.privateKey),
  one: signer(one.privateKey),
  two: signer(two.privateKey),
};

const algorithms: Readonly<Record<keyof typeof names, string>> = {
  hs: 'HS256',
  rs: 'RS256',
  es: 'ES256',
  ed: 'EdDSA',
  one: 'EdDSA',
  two: 'EdDSA',
};

const rights = objectText({ subscribe: '["**"]', publish: '["**"]' });

/** A good token, but for what `parts` says. */
function build({ nowMs }: CorpusContext, { header, payload, issuer = 'hs', sign }: Parts = {}): string {
  const headerText = objectText({
    alg: JSON.stringify(algorithms[issuer]),
    typ: '"JWT"',
    kid: issuer === 'one' || issuer === 'two' ? JSON.stringify(issuer) : undefined,
    ...header,
  });
  return joinToken(
    headerText,
    payloadText(nowMs, { iss: JSON.stringify(names[issuer]), ...payload }),
    sign ?? signers[issuer],
  );
}

function payloadText(nowMs: number, members: MemberTexts): string {
  return objectText({
    sub: '"alice"',
    aud: JSON.stringify(audience),
    exp: String(Math.floor(nowMs / 1_000) + 3_600),
    everywire: rights,
    ...members,
  });
}

/** Cases of one row, numbered; `what` of each is its key. */
function row(
  name: string,
  refused: RegExp | undefined,
  makers: Readonly<Record<string, (context: CorpusContext) => Parts | string>>,
): (first?: number) => readonly TokenCase[] {
  return (first = 1) =>
    Object.entries(makers).map(([what, make], at) => ({
      id: `${name}.${first + at}`,
      what,
      make: (context) => {
        const made = make(context);
        return typeof made === 'string' ? made : build(context, made);
      },
      ...(refused === undefined ? {} : { refused }),
    }));
}

/** Rows of one kind, numbered through. */
function rows(...parts: readonly ReturnType<typeof row>[]): readonly TokenCase[] {
  const all: TokenCase[] = [];
  for (const part of parts) all.push(...part(all.length + 1));
  return all;
}

const good = rows(
  row('good', undefined, {
    'HS256, by a secret': () => ({}),
    'RS256, by a public key': () => ({ issuer: 'rs' }),
    'ES256, by a public key': () => ({ issuer: 'es' }),
    'EdDSA, by a public key': () => ({ issuer: 'ed' }),
    'EdDSA, by a key set': () => ({ issuer: 'one' }),
    'by the only key of a set, without its name': () => ({ issuer: 'two', header: { kid: undefined } }),
    'an access token by its typ (RFC 9068)': () => ({ header: { typ: '"at+jwt"' } }),
    'without typ': () => ({ header: { typ: undefined } }),
  }),
);

const noSignature = /not a signed JWT: three base64url parts/;
const wrongKey = /alg or kid matches no key/;
const wrongSignature = /signature of the token is not valid/;
const confusedWith = (secret: string | Buffer): Parts => ({
  issuer: 'rs',
  header: { alg: '"HS256"' },
  sign: hmac(secret),
});
const unsigned = (context: CorpusContext, algorithm: string): string => {
  const token = build(context, { header: { alg: JSON.stringify(algorithm) } });
  return token.slice(0, token.lastIndexOf('.') + 1);
};

const alg = rows(
  row('alg', noSignature, {
    'none, without a signature': (context) => unsigned(context, 'none'),
    'None, without a signature': (context) => unsigned(context, 'None'),
    'nOnE, without a signature': (context) => unsigned(context, 'nOnE'),
    'empty, without a signature': (context) => unsigned(context, ''),
  }),
  row('alg', wrongKey, {
    none: () => ({ header: { alg: '"none"' } }),
    None: () => ({ header: { alg: '"None"' } }),
    nOnE: () => ({ header: { alg: '"nOnE"' } }),
    empty: () => ({ header: { alg: '""' } }),
    'in small letters': () => ({ header: { alg: '"hs256"' } }),
    'HS512 for HS256': () => ({ header: { alg: '"HS512"' } }),
    'HS256 by the public key as PEM': () => confusedWith(rsaPem),
    'HS256 by the public key as PEM without its last line break': () => confusedWith(rsaPem.trimEnd()),
    'HS256 by the public key as DER': () => confusedWith(rsaDer),
    'HS256 by the public key behind a space': () => confusedWith(` ${rsaPem}`),
    'HS256 by the public key behind a line break': () => confusedWith(`\n${rsaPem}`),
    'HS256 by the public key behind a byte order mark': () => confusedWith(`\uFEFF${rsaPem}`),
    'HS256 by a key of a set': () => ({
      issuer: 'one',
      header: { alg: '"HS256"' },
      sign: hmac(Buffer.from(one.publicKey.export({ format: 'jwk' }).x!, 'base64url')),
    }),
    'PS256 for RS256': () => ({
      issuer: 'rs',
      header: { alg: '"PS256"' },
      sign: (input) =>
        sign('sha256', input, {
          key: rsa.privateKey,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        }),
    }),
    'ES256 for RS256': () => ({ issuer: 'rs', header: { alg: '"ES256"' }, sign: signers.es }),
  }),
  row('alg', wrongSignature, {
    'ES256 with a signature of zeros': () => ({ issuer: 'es', sign: () => Buffer.alloc(64) }),
    'ES256 in DER': () => ({
      issuer: 'es',
      sign: (input) => sign('sha256', input, { key: ec.privateKey, dsaEncoding: 'der' }),
    }),
    'EdDSA with a signature of zeros': () => ({ issuer: 'ed', sign: () => Buffer.alloc(64) }),
    'EdDSA with half a signature': () => ({
      issuer: 'ed',
      sign: (input) => signers.ed(input).subarray(0, 32),
    }),
    'HS256 cut by a byte': () => ({ sign: (input) => signers.hs(input).subarray(0, 31) }),
    'HS256 by another secret': () => ({ sign: hmac(`${testSecret}.`) }),
    'RS256 by the key of another issuer': () => ({
      issuer: 'rs',
      sign: signer(generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey),
    }),
  }),
  row('alg', /must have alg/, {
    missing: () => ({ header: { alg: undefined } }),
    'a list': () => ({ header: { alg: '["HS256"]' } }),
    null: () => ({ header: { alg: 'null' } }),
  }),
);

const keyText = (key: KeyObject): string => JSON.stringify(key.export({ format: 'jwk' }));
const forged = { issuer: 'ed', sign: signers.two } as const;

const header = rows(
  row('header', /typ of a token must be JWT/, {
    'typ of something else': () => ({ header: { typ: '"JWE"' } }),
    'typ that is no text': () => ({ header: { typ: '["JWT"]' } }),
  }),
  row('header', /must not have (crit|b64|jwk|jku|x5u|x5c)\./, {
    'crit with an unknown name': () => ({ header: { crit: '["exp2"]', exp2: '1' } }),
    'crit, empty': () => ({ header: { crit: '[]' } }),
    'crit with b64': () => ({ header: { crit: '["b64"]', b64: 'true' } }),
    'b64 false': () => ({ header: { b64: 'false' } }),
    'jwk: the key that it is signed with': () => ({ ...forged, header: { jwk: keyText(two.publicKey) } }),
    'jwk: an Ed25519 key that is too short': () => ({
      ...forged,
      header: { jwk: '{"kty":"OKP","crv":"Ed25519","x":"AAAA"}' },
    }),
    'jwk, null': () => ({ header: { jwk: 'null' } }),
    jku: ({ trapUrl }) => ({ ...forged, header: { jku: JSON.stringify(trapUrl) } }),
    x5u: ({ trapUrl }) => ({ ...forged, header: { x5u: JSON.stringify(trapUrl) } }),
    x5c: () => ({ ...forged, header: { x5c: JSON.stringify([rsaDer.toString('base64')]) } }),
  }),
  row('header', /not a valid key name/, {
    'kid, a path': () => ({ header: { kid: '"../../etc/passwd"' } }),
    'kid, a query': () => ({ header: { kid: '"\' OR 1"' } }),
    'kid, very long': () => ({ header: { kid: `"${'k'.repeat(4_096)}"` } }),
    'kid, a number': () => ({ header: { kid: '1' } }),
    'kid, a path, of a key set': () => ({ issuer: 'one', header: { kid: '"../../etc/passwd"' } }),
    'kid with NUL': () => ({ issuer: 'one', header: { kid: '"one\\u0000"' } }),
  }),
  row('header', /at most 8192 bytes/, {
    'kid of 8 KiB': () => ({ header: { kid: `"${'k'.repeat(8_192)}"` } }),
  }),
  row('header', wrongKey, {
    'kid of another issuer': () => ({ issuer: 'one', header: { kid: '"two"' }, sign: signers.two }),
    'kid of no key': () => ({ issuer: 'one', header: { kid: '"three"' } }),
    'kid, a URL': ({ trapUrl }) => ({ issuer: 'one', header: { kid: JSON.stringify(trapUrl) } }),
    'kid of something that every object has': () => ({ issuer: 'one', header: { kid: '"__proto__"' } }),
  }),
  row('header', wrongSignature, {
    'kid of one issuer, signed by another': () => ({ issuer: 'one', sign: signers.two }),
  }),
);

/** What `exp` may look like: each is the JSON text, or none. Seconds since 1970. */
export const expShapes: readonly {
  readonly what: string;
  readonly text: (nowSeconds: number) => string | undefined;
  readonly refused?: RegExp;
}[] = [
  { what: 'a number', text: (now) => String(now + 60) },
  { what: 'with a fraction', text: (now) => `${now + 60}.25` },
  { what: 'with an exponent', text: () => '1e11' },
  { what: '2^53', text: () => '9007199254740992' },
  { what: 'the year 10000', text: () => '253402300800' },
  { what: 'with a fraction, past', text: (now) => `${now - 1}.75`, refused: /expired/ },
  { what: 'zero', text: () => '0', refused: /expired/ },
  { what: 'negative', text: () => '-1', refused: /exp of a token must be a number/ },
  { what: 'text', text: (now) => `"${now + 60}"`, refused: /exp of a token must be a number/ },
  { what: 'a date', text: () => '"2999-01-01T00:00:00Z"', refused: /exp of a token must be a number/ },
  { what: 'a list', text: (now) => `[${now + 60}]`, refused: /exp of a token must be a number/ },
  { what: 'an object', text: () => '{}', refused: /exp of a token must be a number/ },
  { what: 'true', text: () => 'true', refused: /exp of a token must be a number/ },
  { what: 'null', text: () => 'null', refused: /exp of a token must be a number/ },
  { what: 'more than a number can be', text: () => '1e400', refused: /number is too large/ },
  { what: 'missing', text: () => undefined, refused: /has no exp claim/ },
];

const dates: readonly TokenCase[] = [
  ...expShapes.map(({ what, text, refused }, at) => ({
    id: `exp.${at + 1}`,
    what,
    make: (context: CorpusContext) =>
      build(context, { payload: { exp: text(Math.floor(context.nowMs / 1_000)) } }),
    ...(refused === undefined ? {} : { refused }),
  })),
  ...(['nbf', 'iat'] as const).flatMap((name) => {
    const is = (text: string) => () => ({ payload: { [name]: text } });
    const ago = ({ nowMs }: CorpusContext): number => Math.floor(nowMs / 1_000) - 10;
    return rows(
      row(name, undefined, {
        'with a fraction': (context) => ({ payload: { [name]: `${ago(context)}.5` } }),
        zero: is('0'),
        missing: () => ({ payload: { [name]: undefined } }),
      }),
      row(name, new RegExp(`${name} of a token must be a number`), {
        text: (context) => ({ payload: { [name]: `"${ago(context)}"` } }),
        'a list': (context) => ({ payload: { [name]: `[${ago(context)}]` } }),
        null: is('null'),
        negative: is('-1'),
      }),
      row(name, /number is too large/, { 'more than a number can be': is('1e400') }),
      row(name, /not valid yet/, { '2^53': is('9007199254740992'), 'the year 10000': is('253402300800') }),
    );
  }),
];

const claims = rows(
  row('audience', undefined, {
    'aud, a list with ours': () => ({ payload: { aud: '["other","everywire"]' } }),
  }),
  row('audience', /has no aud claim/, { 'aud missing': () => ({ payload: { aud: undefined } }) }),
  row('audience', /another audience/, {
    'aud of another': () => ({ payload: { aud: '"other"' } }),
    'aud that begins like ours': () => ({ payload: { aud: '"everywire.example"' } }),
    'aud, an empty list': () => ({ payload: { aud: '[]' } }),
  }),
  row('audience', /aud claim of a token must be a string/, {
    'aud, a list with a number': () => ({ payload: { aud: '["everywire",1]' } }),
    'aud, an object': () => ({ payload: { aud: '{"0":"everywire"}' } }),
    'aud, null': () => ({ payload: { aud: 'null' } }),
  }),
  row('audience', /issuer of the token is not configured/, {
    'iss missing': () => ({ payload: { iss: undefined } }),
    'iss of another': () => ({ payload: { iss: '"https://other.example"' } }),
    'iss, a list': () => ({ payload: { iss: `["${names.hs}"]` } }),
    'iss with a slash more': () => ({ payload: { iss: `"${names.hs}/"` } }),
    'iss, a URL on loopback': ({ trapUrl }) => ({ payload: { iss: JSON.stringify(trapUrl) } }),
    'iss of what every object has': () => ({ payload: { iss: '"__proto__"' } }),
  }),
  row('audience', wrongKey, {
    'iss of an issuer with another kind of key': () => ({ payload: { iss: `"${names.rs}"` } }),
  }),
  row('audience', wrongSignature, {
    'iss of an issuer with another key': () => ({ issuer: 'ed', sign: signers.one }),
  }),
);

const everywire = (members: MemberTexts, subject = 'alice'): Parts => ({
  payload: { sub: JSON.stringify(subject), everywire: objectText(members) },
});

const claimsOfRights = rows(
  row('rights', /claim everywire must be an object/, {
    'a list': () => ({ payload: { everywire: '[]' } }),
    text: () => ({ payload: { everywire: '"admin"' } }),
    null: () => ({ payload: { everywire: 'null' } }),
  }),
  row('rights', /members other than/, {
    'a list that is misspelt': () => everywire({ subcribe: '["!secret/**"]' }),
    'what every object has': () => everywire({ ['__proto__']: '{"admin":true}' }),
  }),
  row('rights', /at most 8192 bytes/, {
    'a filter of 64 KiB': () => everywire({ subscribe: `["${'f'.repeat(65_536)}"]` }),
  }),
  row('rights', /has an invalid filter/, {
    'a filter of 4 KiB': () => everywire({ subscribe: `["${'f'.repeat(4_096)}"]` }),
    'five wildcards': () => everywire({ subscribe: '["*/*/*/*/*"]' }),
    'a denial of nothing': () => everywire({ publish: '["!"]' }),
    'no text': () => everywire({ publish: '[""]' }),
    '** in the middle': () => everywire({ subscribe: '["a/**/b"]' }),
    'a name of the server': () => everywire({ subscribe: '["$SYS/**"]' }),
    'a denial of a name of the server': () => everywire({ subscribe: '["!$SYS/**"]' }),
    'a control character': () => everywire({ subscribe: '["a\\u0000b"]' }),
    'seventeen levels': () => everywire({ subscribe: `["${'a/'.repeat(16)}a"]` }),
  }),
  row('rights', /must be a list of filters/, {
    'text in place of a list': () => everywire({ subscribe: '"**"' }),
    'a number in a list': () => everywire({ subscribe: '[1]' }),
    'a list in a list': () => everywire({ publish: '[["**"]]' }),
    'null in place of a list': () => everywire({ publish: 'null' }),
  }),
  row('rights', /at most 256 filters/, {
    'one filter too many': () => everywire({ subscribe: JSON.stringify(Array(257).fill('a')) }),
  }),
  row('rights', /admin must be true or false/, {
    'admin, text': () => everywire({ admin: '"true"' }),
    'admin, a number': () => everywire({ admin: '1' }),
    'admin, null': () => everywire({ admin: 'null' }),
  }),
  row('rights', /has no sub claim/, {
    'no subject': () => ({ payload: { sub: undefined } }),
    'the subject null': () => ({ payload: { sub: 'null' } }),
    'the subject a number': () => ({ payload: { sub: '1' } }),
  }),
  row('rights', /1 to 255 bytes/, {
    'the subject empty': () => ({ payload: { sub: '""' } }),
    'a subject of 256 bytes': () => ({ payload: { sub: `"${'ü'.repeat(128)}"` } }),
    'a subject with a line break': () => ({ payload: { sub: '"a\\nb"' } }),
    'a jti that is empty': () => ({ payload: { jti: '""' } }),
    'a jti that is a number': () => ({ payload: { jti: '1' } }),
  }),
  row('rights', undefined, {
    'the subject a/b where no rule uses it': () => ({ payload: { sub: '"a/b"' } }),
    'the subject __proto__': () => ({ payload: { sub: '"__proto__"' } }),
    '256 rules': () => everywire({ subscribe: JSON.stringify(Array(256).fill('**')), publish: '["**"]' }),
  }),
);

const replaceLast = (text: string, by: (letter: string) => string): string =>
  text.slice(0, -1) + by(text.at(-1)!);

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const form = rows(
  row('form', noSignature, {
    empty: () => '',
    dots: () => '..',
    'one part': (context) => build(context).split('.')[1]!,
    'two parts': (context) => build(context).split('.').slice(0, 2).join('.'),
    'a trailing dot': (context) => `${build(context)}.`,
    'four parts': (context) => `${build(context)}.AA`,
    'padding of a part': (context) => `${build(context)}=`,
    'the other alphabet': (context) =>
      build(context, { payload: { pad: '"???>>>~~~ ???>>>~~~  ???>>>~~~"' } })
        .replaceAll('-', '+')
        .replaceAll('_', '/'),
    'white space before': (context) => ` ${build(context)}`,
    'white space after': (context) => `${build(context)}\n`,
    'white space within': (context) => build(context).replace('.', '.\t'),
    'NUL after': (context) => `${build(context)}\0`,
    'a letter of another alphabet': (context) => replaceLast(build(context), () => 'а'),
    'encrypted (JWE)': () =>
      [objectText({ alg: '"dir"', enc: '"A256GCM"' }), '', 'iv', 'text', 'tag'].map(encode).join('.'),
    'encrypted and compressed (JWE), a bomb': () =>
      [
        objectText({ alg: '"dir"', enc: '"A256GCM"', zip: '"DEF"' }),
        '',
        'iv',
        deflateRawSync(Buffer.alloc(1024 * 1024)),
        'tag',
      ]
        .map(encode)
        .join('.'),
  }),
  row('form', /canonical base64url/, {
    'spare bits that are set': (context) =>
      // 32 bytes take 43 letters, the last of which has two bits that mean nothing.
      replaceLast(build(context), (letter) => letters[letters.indexOf(letter) ^ 1]!),
    'a letter too many': (context) => `${build(context)}AA`.replace(/^/, ''),
  }),
  row('form', /header of the token cannot be read|payload of the token cannot be read/, {
    'a claim twice': ({ nowMs }) =>
      joinToken(
        objectText({ alg: '"HS256"' }),
        payloadText(nowMs, { iss: `"${names.hs}"`, sub: '"alice","sub":"bob"' }),
        signers.hs,
      ),
    'a claim twice, once escaped': ({ nowMs }) =>
      joinToken(
        objectText({ alg: '"HS256"' }),
        payloadText(nowMs, { iss: `"${names.hs}"`, sub: '"alice","s\\u0075b":"bob"' }),
        signers.hs,
      ),
    'alg twice': () => ({ header: { alg: '"HS256","alg":"none"' } }),
    'a right twice': () => everywire({ admin: 'false,"admin":true' }),
    'nested 2,500 deep': () => ({ payload: { deep: '['.repeat(2_500) + ']'.repeat(2_500) } }),
    'nested 33 deep': () => ({ payload: { deep: '['.repeat(32) + ']'.repeat(32) } }),
    'invalid UTF-8': ({ nowMs }) =>
      joinToken(
        objectText({ alg: '"HS256"' }),
        Buffer.concat([
          Buffer.from(payloadText(nowMs, { iss: `"${names.hs}"` }).slice(0, -1)),
          Buffer.from(',"x":"'),
          Buffer.from([0xff, 0xfe]),
          Buffer.from('"}'),
        ]),
        signers.hs,
      ),
    'half a surrogate pair': () => ({ payload: { x: '"\\ud800"' } }),
    'a byte order mark': ({ nowMs }) =>
      joinToken(
        objectText({ alg: '"HS256"' }),
        `\uFEFF${payloadText(nowMs, { iss: `"${names.hs}"` })}`,
        signers.hs,
      ),
    'no JSON': () => joinToken(objectText({ alg: '"HS256"' }), 'sub=alice', signers.hs),
    'a comma too many': () => ({ payload: { x: '1,' } }),
    'NaN as a date': () => ({ payload: { exp: 'NaN' } }),
    'a header that is no JSON': () => joinToken('alg=HS256', '{}', signers.hs),
  }),
  row('form', /must be a JSON object/, {
    'a payload that is a list': () => joinToken(objectText({ alg: '"HS256"' }), '[]', signers.hs),
    'a payload that is null': () => joinToken(objectText({ alg: '"HS256"' }), 'null', signers.hs),
    'a header that is a list': () => joinToken('["HS256"]', '{}', signers.hs),
  }),
  row('form', /at most 8192 bytes/, {
    '9 KiB': () => ({ payload: { x: `"${'x'.repeat(6_912)}"` } }),
    'nested 10,000 deep': () => ({ payload: { deep: '['.repeat(10_000) + ']'.repeat(10_000) } }),
    '1 MiB': () => 'e'.repeat(1024 * 1024),
  }),
);

const inSeconds = ({ nowMs }: CorpusContext, seconds: number): MemberTexts => ({
  exp: String(Math.floor(nowMs / 1_000) + seconds),
});

const state = rows(
  row('state', undefined, {
    'expired within the leeway': (context) => ({
      issuer: 'es',
      payload: inSeconds(context, -leewaySeconds / 2),
    }),
  }),
  row('state', /expired/, {
    'expired a second before the leeway': (context) => ({
      issuer: 'es',
      payload: inSeconds(context, -leewaySeconds - 1),
    }),
    'expired a second ago': (context) => ({ payload: inSeconds(context, -1) }),
    'expired this second': (context) => ({ payload: inSeconds(context, 0) }),
  }),
  row('state', /not valid yet/, {
    'valid in a minute': ({ nowMs }) => ({ payload: { nbf: String(Math.ceil(nowMs / 1_000) + 60) } }),
  }),
);

export const tokenCases: readonly TokenCase[] = [
  ...good,
  ...alg,
  ...header,
  ...dates,
  ...claims,
  ...claimsOfRights,
  ...form,
  ...state,
];
