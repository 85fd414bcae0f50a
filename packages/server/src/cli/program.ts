import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { createRequire } from 'node:module';
import { CommandError, exitCodes } from './exit.ts';
import { addFlags, addTokenFlags, readFlags } from './flags.ts';
import { hideSecretArguments } from './hide-arguments.ts';
import { endOnClosedPipe, sayError } from './output.ts';
import type { PublishOptions } from './publish.ts';
import type { SubscribeOptions } from './subscribe.ts';
import type { TokenOptions } from './token.ts';

const { version } = createRequire(import.meta.url)('../../package.json') as { readonly version: string };

const examples = `
Examples:
  everywire serve                                                       everything on 127.0.0.1:8080, messages in ./data
  everywire publish http://localhost:8080/chat/room-1 hello
  everywire subscribe sse+http://localhost:8080/chat/room-1
  everywire subscribe --since earliest --count 10 'ws://localhost:8080/chat/**'
  everywire token --sub ann --subscribe 'chat/**' | everywire explain - subscribe chat/room-1

The scheme of a URL picks the transport, and its path is the channel:
  http: or poll+http:   longpoll+http:   stream+http:   sse+http:   ws:   sio+http:
  mqtt: mqtt+ws:   stomp: stomp+ws:   grpc:   with TLS: https:, sse+https:, wss:, mqtts:, stomps:, stomp+wss:, grpcs: …

Exit codes: 0 done, 1 failed or timed out, 2 usage, 3 unreachable, 130 interrupted.`;

const subscribeExamples = `
Each message is a line of JSON on standard output. After a cut the command resumes from its cursor and misses no message.

Examples:
  everywire subscribe sse+http://localhost:8080/chat/room-1 | jq .data
  everywire subscribe --since -5m 'longpoll+http://localhost:8080/sensors/*/temperature'
  everywire subscribe --count 1 --timeout 10s ws://localhost:8080/chat/room-1`;

const publishExamples = `
The receipt, with offset and cursor, is a line of JSON on standard output.

Examples:
  everywire publish http://localhost:8080/chat/room-1 hello
  everywire publish --json ws://localhost:8080/chat/room-1 '{"text": "hi"}'
  everywire publish --type image/png http://localhost:8080/pictures - < photo.png`;

const caHelp = "file of authorities to trust beside the system's, PEM";
const clientCertHelp = 'file of the certificate to show to the server, PEM';
const clientKeyHelp = 'file of its private key, PEM';
const tokenHelp = 'token or ticket to show; EVERYWIRE_TOKEN or EVERYWIRE_TOKEN_FILE keep it out of histories';

const tokenExamples = `
Examples:
  export EVERYWIRE_JWT_SECRET="$(openssl rand -base64 48)"        the server is started with the same
  everywire token --sub ann --subscribe 'chat/**' --publish 'chat/{sub}'
  everywire token --sub ops --admin --expires 10m
  everywire token --key ed25519.pem --sub ann --subscribe '**' --subscribe '!private/**'`;

const explainExamples = `
It reads the configuration that a server started here would have, and never prints the token.

Examples:
  everywire token --sub ann --subscribe 'chat/**' | everywire explain - subscribe chat/room-1
  EVERYWIRE_TOKEN_FILE=token.txt everywire explain publish chat/room-1
  everywire explain - admin < token.txt`;

/** Runs a command line and ends with its exit code. A server keeps the process until it stops. */
export async function run(argv: readonly string[]): Promise<void> {
  endOnClosedPipe();
  hideSecretArguments(argv.slice(2));
  try {
    await createProgram().parseAsync([...argv]);
  } catch (error) {
    process.exitCode = await report(error);
  }
}

function createProgram(): Command {
  const program = new Command('everywire')
    .description('A realtime messaging server: publish once; deliver on every wire.')
    .version(version)
    .addHelpText('after', examples)
    .exitOverride()
    .showHelpAfterError('(everywire --help tells more)');
  addServe(program);
  addClients(program);
  addTokens(program);
  addConfig(program);
  const doctor = program
    .command('doctor')
    .description('look for what would keep a server from starting or from lasting');
  addFlags(doctor).action(async () => {
    const { diagnose } = await import('./doctor.ts');
    await diagnose(readFlags(doctor));
  });
  program
    .command('verify-folder', { hidden: true })
    .description('what doctor runs in another process to read a data folder')
    .argument('<folder>')
    .action(async (folder: string) => {
      const { verifyFolder } = await import('./doctor-store.ts');
      await verifyFolder(folder);
    });
  return program;
}

function addServe(program: Command): void {
  const serve = program.command('serve').description('run the server');
  addFlags(serve).action(async () => {
    const { serve: start } = await import('./serve.ts');
    await start(readFlags(serve));
  });
}

function addClients(program: Command): void {
  program
    .command('publish')
    .description('publish a message')
    .argument('<url>', 'where to, such as http://localhost:8080/chat/room-1')
    .argument('[data]', 'the payload; - or nothing reads standard input')
    .option(
      '--type <media-type>',
      'media type (default: JSON for an object or an array, text/plain for other text, else application/octet-stream)',
    )
    .option('--json', 'short for --type application/json')
    .option('--event <name>', 'label of the message')
    .option('--header <name=value>', 'header of the message; may be repeated', collect)
    .option('--key <id>', 'publish id: the same id is stored once')
    .option('--retain', "keep as the channel's retained message")
    .option('--ttl <time>', 'not delivered after that long, such as 60s')
    .option('--token <token>', tokenHelp)
    .option('--ca <file>', caHelp)
    .option('--client-cert <file>', clientCertHelp)
    .option('--client-key <file>', clientKeyHelp)
    .addHelpText('after', publishExamples)
    .action(async (url: string, data: string | undefined, options: PublishOptions) => {
      const { publish } = await import('./publish.ts');
      await endOnInterrupt(publish(url, data, options));
    });
  program
    .command('subscribe')
    .description('follow a channel or a filter')
    .argument('<url>', 'what to follow, such as sse+http://localhost:8080/chat/**')
    .option('--count <n>', 'end after n messages', parseCount)
    .option('--timeout <time>', 'give up, with exit code 1, after that long: 500ms, 10s, 5m')
    .option('--after <cursor>', 'begin after this cursor, from any transport')
    .option('--since <start>', 'begin at earliest, latest, last-<n>, a time, or -5m (default: from now on)')
    .option('--raw', 'payloads instead of JSON')
    .option('--token <token>', tokenHelp)
    .option('--ca <file>', caHelp)
    .option('--client-cert <file>', clientCertHelp)
    .option('--client-key <file>', clientKeyHelp)
    .addHelpText('after', subscribeExamples)
    .action(async (url: string, options: SubscribeOptions) => {
      const { subscribe } = await import('./subscribe.ts');
      await endOnInterrupt(subscribe(url, options));
    });
}

function addTokens(program: Command): void {
  const token = program
    .command('token')
    .description('sign a token with the secret of the configuration, or with a private key')
    .option('--sub <subject>', 'whose it is')
    .option('--subscribe <filter>', 'what it may read; ! in front denies; may be repeated', collect)
    .option('--publish <filter>', 'what it may publish to, likewise', collect)
    .option('--admin', 'an administrator; without such lists it may read and publish everything')
    .option('--expires <time>', 'how long it is good: 90s, 1h, 30d', '1h')
    .option('--jti <id>', 'its own id, by which it can be revoked')
    .option('--claims <json>', 'more claims, as a JSON object')
    .option('--key <file>', 'private key (PEM or JWK): RSA, P-256 or Ed25519')
    .option('--kid <id>', 'which key of a set that is')
    .addHelpText('after', tokenExamples);
  addTokenFlags(token).action(async (options: TokenOptions) => {
    const { token: print } = await import('./token.ts');
    await print(readFlags(token), options);
  });
  const explain = program
    .command('explain')
    .description('say whether a token may do something, and why; exit code 0 yes, 1 no')
    .argument('[question...]', '[token|-] subscribe|publish|admin [channel]')
    .addHelpText('after', explainExamples);
  addTokenFlags(explain).action(async (question: readonly string[]) => {
    const { explainToken } = await import('./explain-token.ts');
    await explainToken(readFlags(explain), question);
  });
}

function addConfig(program: Command): void {
  const config = program.command('config').description('show, check or describe the configuration');
  const show = config.command('show').description('every value and where it comes from; secrets are masked');
  show.option('--json', 'as JSON');
  addFlags(show).action(async () => {
    const { show: print } = await import('./config.ts');
    await print(readFlags(show), show.opts()['json'] === true);
  });
  const check = config.command('check').description('say what is wrong, if anything; exit code 2 if so');
  addFlags(check).action(async () => {
    const { check: verify } = await import('./config.ts');
    await verify(readFlags(check));
  });
  config
    .command('schema')
    .description('JSON Schema of everywire.yaml')
    .action(async () => {
      const { schema } = await import('./config.ts');
      await schema();
    });
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
}

/** Users commonly end a subscription with Ctrl-C: the process ends at once, with the exit code for it. */
async function endOnInterrupt(command: Promise<void>): Promise<void> {
  process.once('SIGINT', () => process.exit(exitCodes.interrupted));
  await command;
}

/** Prints the error, and returns the exit code. */
async function report(error: unknown): Promise<number> {
  if (error instanceof CommanderError) {
    // Commander has printed it. A request for help or version is not an error.
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  if (error instanceof CommandError) {
    sayError(error.message);
    return exitCodes[error.exit];
  }
  const { ConfigError } = await import('../config/settings.ts');
  if (error instanceof ConfigError) {
    for (const problem of error.problems) sayError(problem);
    return exitCodes.usage;
  }
  sayError(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return exitCodes.failed;
}
