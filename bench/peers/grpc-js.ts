import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { subscribedMark } from '../generator/grpc.ts';
import { servePeer } from './peer-calls.ts';

// A broadcast as the guide of grpc-js has it: one `write` to each call per message.
type Call = ServerWritableStream<Buffer, Buffer>;
const calls = new Set<Call>();
const asItIs = (bytes: Buffer): Buffer => bytes;
const server = new Server();
server.addService(
  {
    subscribe: {
      path: '/bench.Broadcast/Subscribe',
      requestStream: false,
      responseStream: true,
      requestSerialize: asItIs,
      requestDeserialize: asItIs,
      responseSerialize: asItIs,
      responseDeserialize: asItIs,
    },
  },
  {
    subscribe: (call: Call) => {
      calls.add(call);
      call.on('cancelled', () => calls.delete(call));
      call.write(subscribedMark);
    },
  },
);
const port = new Promise<number>((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
    if (error === null) resolve(bound);
    else reject(error);
  });
});

servePeer(port, (payload) => {
  const message = Buffer.from(payload);
  for (const call of calls) call.write(message);
});
