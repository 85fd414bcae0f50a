import { create, createRegistry, toBinary, type DescFile, type MessageShape } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { EverywireError } from '@everywire/protocol';
import { connectErrorOf } from './convert.ts';
import {
  file_everywire_v1_messaging,
  Messaging,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import {
  file_grpc_health_v1_health,
  Health,
} from '@everywire/wires/grpc/generated/grpc/health/v1/health_pb.js';
import * as v1 from '@everywire/wires/grpc/generated/grpc/reflection/v1/reflection_pb.js';
import * as v1alpha from '@everywire/wires/grpc/generated/grpc/reflection/v1alpha/reflection_pb.js';

const services = [Messaging, Health, v1.ServerReflection, v1alpha.ServerReflection];
const files = withImports([
  file_everywire_v1_messaging,
  file_grpc_health_v1_health,
  v1.file_grpc_reflection_v1_reflection,
  v1alpha.file_grpc_reflection_v1alpha_reflection,
]);
const registry = createRegistry(...files.values());

/**
 * Server reflection for tools such as grpcurl, v1 and v1alpha, which differ only in their package. Like all services but
 * health, it needs an authenticated caller.
 */
export function addReflection(
  router: ConnectRouter,
  stopping: AbortSignal,
  letIn: (context: HandlerContext) => unknown,
): void {
  router.service(v1.ServerReflection, {
    async *serverReflectionInfo(requests, context) {
      letIn(context);
      for await (const request of untilAborted(requests, stopping))
        yield create(v1.ServerReflectionResponseSchema, { ...answerTo(request), originalRequest: request });
    },
  });
  router.service(v1alpha.ServerReflection, {
    async *serverReflectionInfo(requests, context) {
      letIn(context);
      for await (const request of untilAborted(requests, stopping))
        yield create(v1alpha.ServerReflectionResponseSchema, {
          ...answerTo(request),
          originalRequest: request,
        });
    },
  });
}

/** Tools keep their stream open for further questions; a stopping server does not wait for them. */
async function* untilAborted<T>(requests: AsyncIterable<T>, stopping: AbortSignal): AsyncGenerator<T> {
  const iterator = requests[Symbol.asyncIterator]();
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  const stop = (): void => resolve(undefined);
  stopping.addEventListener('abort', stop, { once: true });
  try {
    while (!stopping.aborted) {
      const next = await Promise.race([iterator.next(), stopped]);
      if (next === undefined)
        throw connectErrorOf(new EverywireError('going_away', 'The server is shutting down.'));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    stopping.removeEventListener('abort', stop);
  }
}

type Request = Pick<
  MessageShape<typeof v1.ServerReflectionRequestSchema | typeof v1alpha.ServerReflectionRequestSchema>,
  'host' | 'messageRequest'
>;

type Answer =
  | {
      readonly case: 'fileDescriptorResponse';
      readonly value: { readonly fileDescriptorProto: Uint8Array[] };
    }
  | {
      readonly case: 'listServicesResponse';
      readonly value: { readonly service: { readonly name: string }[] };
    }
  | { readonly case: 'allExtensionNumbersResponse'; readonly value: { readonly baseTypeName: string } }
  | {
      readonly case: 'errorResponse';
      readonly value: { readonly errorCode: number; readonly errorMessage: string };
    };

function answerTo({ host, messageRequest }: Request): { validHost: string; messageResponse: never } {
  return { validHost: host, messageResponse: find(messageRequest) as never };
}

function find(asked: Request['messageRequest']): Answer {
  switch (asked.case) {
    case 'listServices':
      return {
        case: 'listServicesResponse',
        value: { service: services.map(({ typeName }) => ({ name: typeName })) },
      };
    case 'fileByFilename':
      return fileAnswer(files.get(asked.value), asked.value);
    case 'fileContainingSymbol':
      return fileAnswer(fileOf(asked.value), asked.value);
    case 'allExtensionNumbersOfType':
      return registry.getMessage(asked.value) === undefined
        ? notFound(asked.value)
        : { case: 'allExtensionNumbersResponse', value: { baseTypeName: asked.value } };
    case 'fileContainingExtension':
      return notFound(asked.value.containingType);
    case undefined:
      return {
        case: 'errorResponse',
        value: { errorCode: Code.InvalidArgument, errorMessage: 'Nothing is asked.' },
      };
  }
}

/** A symbol is a type or service, or a method or field of one. */
function fileOf(symbol: string): DescFile | undefined {
  const found = registry.get(symbol) ?? registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf('.'))));
  return found === undefined ? undefined : files.get(`${found.file.name}.proto`);
}

/** The file and all that it imports, so that one question is enough. */
function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked);
  const all = [...withImports([file]).values()];
  return {
    case: 'fileDescriptorResponse',
    value: { fileDescriptorProto: all.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) },
  };
}

function notFound(asked: string): Answer {
  return {
    case: 'errorResponse',
    value: { errorCode: Code.NotFound, errorMessage: `There is no ${asked.slice(0, 200)}.` },
  };
}

function withImports(given: readonly DescFile[]): ReadonlyMap<string, DescFile> {
  const found = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    const name = `${file.name}.proto`;
    if (found.has(name)) return;
    found.set(name, file);
    file.dependencies.forEach(add);
  };
  given.forEach(add);
  return found;
}
