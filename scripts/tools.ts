import { spawnSync, type SpawnSyncOptions } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that some tests or benchmarks drive and that npm does not bring. */
export interface Tool {
  readonly name: string;
  /** Names of its program; any one of them will do. */
  readonly files: readonly string[];
  /** Debian's packages. */
  readonly packages: readonly string[];
  /** What its program, Debian's Python, must be able to import. */
  readonly module?: string;
}

export const browser: Tool = {
  name: 'chromium',
  files: ['chromium', 'chromium-browser'],
  packages: ['chromium'],
};

/** Makes system calls fail and dawdle, for the faults of the store. */
export const strace: Tool = { name: 'strace', files: ['strace'], packages: ['strace'] };

/** Builds the library that makes flushes slow. */
export const compiler: Tool = { name: 'gcc', files: ['cc'], packages: ['gcc', 'libc6-dev'] };

/** File systems with copies that share blocks, for the power-cut rig. */
export const fileSystems: Tool = {
  name: 'xfsprogs',
  files: ['mkfs.xfs'],
  packages: ['xfsprogs', 'e2fsprogs', 'mount'],
};

/** What people ask HTTP servers with; it speaks HTTP/2 as well. */
export const curl: Tool = { name: 'curl', files: ['curl'], packages: ['curl'] };

/** Makes certificates, and is a client of TLS that does what others refuse to. */
export const openssl: Tool = { name: 'openssl', files: ['openssl'], packages: ['openssl'] };

/** mosquitto_pub and mosquitto_sub: the command line of MQTT. */
export const mosquittoClients: Tool = {
  name: 'mosquitto-clients',
  files: ['mosquitto_sub'],
  packages: ['mosquitto-clients'],
};

/** Mosquitto itself, for its bridge. */
export const mosquittoBroker: Tool = {
  name: 'mosquitto',
  files: ['mosquitto'],
  packages: ['mosquitto'],
};

/** The Python that Debian's packages of modules belong to, wherever another one comes first. */
export const debianPython = '/usr/bin/python3';

/** Paho: the most used client of MQTT in Python. */
export const pahoForPython: Tool = {
  name: 'python3-paho-mqtt',
  files: ['python3'],
  packages: ['python3', 'python3-paho-mqtt'],
  module: 'paho.mqtt.client',
};

/** The client of Socket.IO in Python. */
export const socketIoForPython: Tool = {
  name: 'python3-socketio',
  files: ['python3'],
  packages: ['python3', 'python3-socketio', 'python3-requests', 'python3-websocket'],
  module: 'socketio',
};

/** stomp.py: the client of STOMP in Python. */
export const stompForPython: Tool = {
  name: 'python3-stomp',
  files: ['python3'],
  packages: ['python3', 'python3-stomp'],
  module: 'stomp',
};

/** Makes the message code of gRPC. */
export const protoc: Tool = { name: 'protoc', files: ['protoc'], packages: ['protobuf-compiler'] };

/** The client of gRPC in Python, and what generates its code. */
export const grpcForPython: Tool = {
  name: 'python3-grpcio',
  files: ['python3'],
  packages: ['python3', 'python3-grpcio', 'python3-grpc-tools'],
  module: 'grpc, grpc_tools.protoc',
};

const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin'];

export function isThere({ files, module }: Tool): boolean {
  const hasProgram = files.some((file) => folders.some((folder) => isRunnable(join(folder, file))));
  return hasProgram && (module === undefined || canImport(module));
}

function canImport(module: string): boolean {
  return spawnSync(debianPython, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0;
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not ours to run: either way it is not to be had here.
    return false;
  }
}

/** Installs what is missing, where that is allowed. Returns what is still missing afterwards. */
export function ensureTools(tools: readonly Tool[]): readonly Tool[] {
  const missing = tools.filter((tool) => !isThere(tool));
  if (missing.length === 0 || process.getuid?.() !== 0 || !isThere(aptGet)) return missing;
  const packages = missing.flatMap((tool) => tool.packages);
  process.stderr.write(`installing ${packages.join(', ')}\n`);
  const options: SpawnSyncOptions = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  spawnSync('apt-get', ['update', '-qq'], options);
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], options);
  return missing.filter((tool) => !isThere(tool));
}

const aptGet: Tool = { name: 'apt-get', files: ['apt-get'], packages: [] };
